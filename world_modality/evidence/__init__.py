"""How sure is a number? Intervals for success rates and their differences; imports no other room."""
