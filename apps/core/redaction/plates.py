"""How German number plates are written. Pure."""

from __future__ import annotations

import re

from apps.core.redaction.base import Kind
from apps.core.redaction.matching import Rule
from apps.core.redaction.public import bare

_NAMES = re.compile("[A-ZÄÖÜ]+")
# "DIN-A 4", "EN-AB 12" and the like are norms, models and laws.
_NO_TOWNS = frozenset(_NAMES.findall("DIN EN ISO IEC RAL VDE VDI EG EU US UN ECE UV IP PC USB TÜV"))
# Towns and districts whose plates are common; with a space alone, only theirs are believed.
_TOWNS = frozenset(
    _NAMES.findall(
        """
        A AA AB AC AK AM AN AP AS AZ B BA BB BC BI BIT BK BL BM BN BO BOR BOT BS BT BZ C CB CE
        CLP CO COE CUX CW D DA DAH DAN DAU DD DE DEL DH DM DO DU DW E EA EB EBE EE EF EI EL EM
        EMD EN ER ES ESW EU F FB FD FDS FF FFB FG FL FN FO FR FRG FRI FS FT FÜ G GAP GE GER GF
        GG GI GL GM GP GR GS GT GTH GÖ GÜ GZ H HA HAL HAM HB HD HDH HE HEF HEI HF HG HGW HH HI
        HK HL HM HN HO HOL HOM HP HR HRO HS HSK HST HU HVL HX HY HZ IGB IK IL IN IZ J JL K KA KB
        KC KE KEH KF KG KH KI KL KLE KN KO KR KS KT KU KUS L LA LAU LB LD LDK LDS LER LEV LG LI
        LIF LIP LL LM LOS LRO LU LWL M MA MB MD ME MEI MG MH MI MIL MK MKK MM MN MOL MOS MQ MR
        MS MSP MST MTK MYK MZ MZG MÜ N NB ND NDH NE NEA NES NEW NF NI NK NM NMS NOH NOM NR NU NW
        OA OAL OB OD OE OF OG OH OHA OHV OHZ OL OPR OS OSL P PA PAF PAN PB PE PF PI PIR PLÖ PM
        PR PS R RA RD RE REG RH RO ROW RP RS RT RV RW RZ RÜD S SAD SB SC SE SFA SG SHA SHG SHK
        SI SIG SK SL SLF SLK SLS SM SN SO SOK SP SPN SR ST STA STD SU SW SZ TBB TF TIR TR TS TUT
        TÖL TÜ UE UL UM UN V VB VEC VER VG VIE VK VR VS W WAF WAK WB WE WEN WES WF WHV WI WIL WL
        WM WN WND WO WOB WST WT WTM WUG WUN WW WZ WÜ X Y Z ZW
        """
    )
)
_BACK = 60
_CUE = re.compile(
    r"kennzeichen|nummernschild|plate|registration|zulassung|angemeldet|fahrzeug|auto\b|wagen|pkw",
    re.IGNORECASE,
)


def _with_hyphen(match: re.Match[str]) -> str | None:
    return None if match["town"] in _NO_TOWNS else bare(match.group())


def _with_space(match: re.Match[str]) -> str | None:
    around = match.string[max(0, match.start() - _BACK) : match.end() + _BACK]
    known = match["town"] in _TOWNS and match["town"] not in _NO_TOWNS and len(match["digits"]) > 1
    return bare(match.group()) if known or _CUE.search(around) else None


PLATES = (
    Rule(
        re.compile(
            r"(?<![\w-])(?P<town>[A-ZÄÖÜ]{1,3})[-\u2010\u2011\u2013 ]?[-\u2010\u2011\u2013] ?"
            r"[A-ZÄÖÜ]{1,2}[- ]{0,2}[1-9]\d{0,3} ?[EH]?(?![\w-])"
        ),
        Kind.PLATE,
        _with_hyphen,
    ),
    Rule(
        re.compile(
            r"(?<![\w-])(?P<town>[A-ZÄÖÜ]{1,3})[ :][A-ZÄÖÜ]{1,2}[- ]?(?P<digits>[1-9]\d{0,3})"
            r" ?[EH]?(?![\w-])"
        ),
        Kind.PLATE,
        _with_space,
    ),
)
