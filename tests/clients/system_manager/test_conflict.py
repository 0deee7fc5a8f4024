"""Two administrators at the same resource: both versions are shown, and nothing is overwritten silently."""

from clients.system_manager.conflict import MINE, THEIRS, combined, differences

BASE = {"name": "Gate", "enabled": True, "motion": {"hold_s": 2.0, "mask": {"hidden": []}}, "actions": []}


def changed(**changes):
    return {**BASE, **changes}


def test_different_changes_are_both_proposed():
    mine, theirs = changed(name="North gate"), changed(enabled=False)
    found = differences(BASE, mine, theirs)
    assert [(each.path, each.proposal, each.clash) for each in found] == [
        (("name",), MINE, False),
        (("enabled",), THEIRS, False),
    ]
    assert combined(theirs, found, [each.proposal for each in found]) == changed(name="North gate", enabled=False)


def test_the_same_change_twice_is_no_difference():
    assert differences(BASE, changed(name="North"), changed(name="North")) == []


def test_a_clash_is_named_and_proposes_what_is_in_force():
    found = differences(BASE, changed(name="North"), changed(name="South"))
    assert [(each.clash, each.proposal) for each in found] == [(True, THEIRS)]


def test_values_inside_groups_are_chosen_one_by_one_but_masks_as_a_whole():
    mine = changed(motion={"hold_s": 3.0, "mask": {"hidden": [1]}})
    theirs = changed(motion={"hold_s": 2.0, "mask": {"hidden": [2]}})
    found = differences(BASE, mine, theirs)
    assert [each.path for each in found] == [("motion", "hold_s"), ("motion", "mask")]
    assert combined(theirs, found, [MINE, THEIRS])["motion"] == {"hold_s": 3.0, "mask": {"hidden": [2]}}


def test_a_save_over_another_change_asks_and_saves_what_was_agreed(furnished, open_page, save, until):
    page = open_page("camera", "gate")
    page.editor("name").line.setText("North gate")
    with furnished.client() as other:
        gate = other.cameras.get("gate")
        other.cameras.replace(gate.model_copy(update={"buffer_s": 900}))
    save(page)
    until(lambda: page.dialog is not None)
    assert [each.name for each in page.dialog.differences] == ["Name", "Rolling buffer"]
    with furnished.client() as other:
        assert other.cameras.get("gate").name == "Gate", "nothing is overwritten before somebody has chosen"
    page.dialog.save.click()
    until(lambda: page.dialog is None and not page.busy and not page.dirty)
    with furnished.client() as other:
        gate = other.cameras.get("gate")
    assert (gate.name, gate.buffer_s) == ("North gate", 900)


def test_my_changes_can_be_dropped_for_theirs(furnished, open_page, save, until):
    page = open_page("camera", "gate")
    page.editor("name").line.setText("North gate")
    with furnished.client() as other:
        other.cameras.replace(other.cameras.get("gate").model_copy(update={"name": "South gate"}))
    save(page)
    until(lambda: page.dialog is not None)
    page.dialog.discard.click()
    until(lambda: not page.busy and page.values["name"] == "South gate")
    assert not page.dirty


def test_without_the_revision_the_other_change_would_be_lost(furnished, open_page, save, until):
    page = open_page("camera", "gate")
    page.editor("name").line.setText("North gate")
    with furnished.client() as other:
        other.cameras.replace(other.cameras.get("gate").model_copy(update={"buffer_s": 900}))
    until(lambda: page.notice.text)
    page._revision = None  # as a client that does not say which state it builds on
    save(page)
    assert page.dialog is None
    with furnished.client() as other:
        assert other.cameras.get("gate").buffer_s == 600
