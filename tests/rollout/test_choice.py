from support.toy_records import record

from world_modality.rollout.choice import Choice

RECORDS = [record(state, success) for state, success in enumerate([True, False, True, False, False])]
OTHERS = [record(state, success) for state, success in enumerate([False, False, True, True])]


def states(choice, others=()):
    return [each.init_state for each in choice.of(RECORDS, others)]


def test_each_sort_gives_its_earliest_episodes():
    assert states(Choice()) == []
    assert states(Choice(first=2)) == [0, 1]
    assert states(Choice(failures=2)) == [1, 3]
    assert states(Choice(discordant=9), OTHERS) == [0, 3]
    assert states(Choice(discordant=1), OTHERS) == [0]


def test_no_episode_is_chosen_twice_and_the_order_stays():
    assert states(Choice(first=1, failures=2, discordant=2), OTHERS) == [0, 1, 3]


def test_episodes_of_another_suite_are_other_episodes():
    others = [record(0, False, suite="libero_10")]
    assert states(Choice(discordant=5), others) == []


def test_each_pair_of_columns_chooses_the_same_episodes_from_either_side():
    plain, treated, placebo = (
        [record(state, digit == "1", checkpoint=checkpoint, memory=memory) for state, digit in enumerate(digits)]
        for checkpoint, memory, digits in (("a", "disabled", "0110"), ("b", "pred", "1011"), ("b", "zero", "1001"))
    )
    choice = Choice(discordant=1)
    ours = [each.init_state for each in choice.of(treated, [*plain, *placebo])]
    assert ours == [0, 2]  # the first against the one, and the first against the other
    assert [each.init_state for each in choice.of(plain, treated)] == [0]
    assert [each.init_state for each in choice.of(placebo, treated)] == [2]
