"""What does the world memory hold, and how does it reach the action expert? Prophet, injector, memory modes."""
