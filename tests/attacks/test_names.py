"""Attacks by name."""

from __future__ import annotations

import pytest

from robdsl.attacks import (
    ATTACKS,
    BIM,
    CW,
    CWL2,
    FGSM,
    MIFGSM,
    PGD,
    Attack,
    Square,
    UnknownAttackError,
    parse_attack,
    parse_attacks,
)


@pytest.mark.parametrize(
    ("text", "attack"),
    [
        ("fgsm", FGSM()),
        ("pgd20", PGD(steps=20)),
        ("pgd100", PGD(steps=100)),
        ("PGD7", PGD(steps=7)),
        ("bim", BIM()),
        (" mi-fgsm ", MIFGSM()),
        ("mi_fgsm5", MIFGSM(steps=5)),
        ("cw", CW()),
        ("cw50", CW(steps=50)),
        ("cw_l2", CWL2()),
        ("square100", Square(queries=100)),
        ("pgd10_l2", PGD(steps=10, norm="l2", eps="128/255", step_size="15/255")),
        ("fgsm_l2", FGSM(norm="l2", eps="128/255")),
    ],
)
def test_names(text: str, attack: Attack) -> None:
    assert parse_attack(text) == attack


@pytest.mark.parametrize("kind", sorted(ATTACKS))
def test_every_name_reads_back(kind: str) -> None:
    attack = parse_attack(kind)
    assert type(attack) is ATTACKS[kind]
    assert parse_attack(attack.name) == attack
    assert attack.describe()["attack"] == kind


def test_published_settings_are_the_defaults() -> None:
    described = {kind: parse_attack(kind).describe() for kind in ATTACKS}
    for kind in sorted(set(ATTACKS) - {"cw_l2"}):
        assert described[kind]["eps"] == "8/255", kind
    assert (
        described["pgd"]["step_size"]
        == described["bim"]["step_size"]
        == described["cw"]["step_size"]
        == "2/255"
    )
    assert described["pgd"]["random_start"] is True and described["bim"]["random_start"] is False
    assert described["mi_fgsm"]["decay"] == 1.0 and described["mi_fgsm"]["steps"] == 10
    assert described["deepfool"]["steps"] == 50 and described["deepfool"]["candidates"] == 10
    assert described["deepfool"]["overshoot"] == 0.02
    assert described["autoattack"]["steps"] == 100 and described["autoattack"]["targets"] == 9
    assert described["autoattack"]["queries"] == 5000


def test_options_overrule_names() -> None:
    assert parse_attack("pgd20", eps="4/255", step_size="1/255") == PGD(eps="4/255", step_size="1/255")
    assert parse_attack("pgd20_l2", eps=1) == PGD(norm="l2", eps=1, step_size="15/255")
    with pytest.raises(TypeError, match="fgsm has no option steps; its options are eps, norm"):
        parse_attack("fgsm", steps=3)


@pytest.mark.parametrize(
    ("wrong", "suggested"),
    [("pdg20", "pgd20"), ("autoatack", "autoattack"), ("deep_fool", "deepfool"), ("fgms", "fgsm")],
)
def test_did_you_mean(wrong: str, suggested: str) -> None:
    with pytest.raises(UnknownAttackError, match="did you mean") as caught:
        parse_attack(wrong)
    assert suggested in caught.value.suggestions and caught.value.name == wrong


@pytest.mark.parametrize("wrong", ["", "xyzzy", "fgsm7", "autoattack5", "pgd1.5", "pgd9999999", "cw_l2_l2"])
def test_unknown_names_list_the_known(wrong: str) -> None:
    with pytest.raises(UnknownAttackError, match="Known are fgsm, bim, pgd"):
        parse_attack(wrong)


def test_lists() -> None:
    attacks = parse_attacks("fgsm, pgd20,mi_fgsm", eps="4/255", step_size="1/255")
    assert [attack.name for attack in attacks] == ["fgsm", "pgd20", "mi_fgsm"]
    assert all(attack.describe()["eps"] == "4/255" for attack in attacks)
    for wrong in ("", ",", "pgd,pgd20"):
        with pytest.raises(ValueError, match="different attacks"):
            parse_attacks(wrong)
