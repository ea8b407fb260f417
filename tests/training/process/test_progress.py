from pneumo.training.process.progress import Follower, Progress, describe, write_to


def test_a_follower_sees_each_event_once(tmp_path):
    file = tmp_path / "events.jsonl"
    report, follower = write_to(file), Follower(file)
    assert follower.new() == []
    events = [Progress(name="a", stage="start"), Progress(name="a", stage="tuning", epoch=1, epochs=2)]
    report(events[0])
    assert follower.new() == events[:1]
    report(events[1])
    assert follower.new() == events[1:]
    assert follower.new() == []


def test_half_a_line_waits_for_its_end(tmp_path):
    file = tmp_path / "events.jsonl"
    write_to(file)(Progress(name="a", stage="start"))
    whole = file.read_bytes()
    file.write_bytes(whole[:20])
    follower = Follower(file)
    assert follower.new() == []
    file.write_bytes(whole)
    assert len(follower.new()) == 1


def test_an_event_in_words():
    event = Progress(name="a", stage="tuning", epoch=2, epochs=4, rate=31.4, seconds_left=95, metrics={"loss": 0.1})
    assert describe(event) == "tuning 2/4, 31 images/s, 95 s left"
    assert (
        describe(Progress(name="a", stage="done", metrics={"validation_auc": 0.994})) == "done, validation_auc 0.9940"
    )
