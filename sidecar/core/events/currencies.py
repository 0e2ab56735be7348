"""The currency codes of ISO 4217, and whether amounts may be in minor units.

`amount` is in major units. If all amounts are whole and large, they may be in minor units such as cents.
"""

from decimal import Decimal

_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
    GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP
    LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN
    PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS
    TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD
    XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWG ZWL
"""
ISO_4217 = frozenset(_CODES.split())

_WITHOUT_MINOR_UNIT = "BIF CLP DJF GNF IDR ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
WITHOUT_MINOR_UNIT = frozenset(_WITHOUT_MINOR_UNIT.split())
# How many decimals the minor unit has, where it is not 2.
_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS = {code: digits for digits, codes in _DECIMALS.items() for code in codes.split()}
LEAST_IN_MINOR_UNITS = 100
ENOUGH = 20  # amounts needed for a judgement
ALL_WHOLE = "all amounts seen are whole numbers of 100 or more: are they cents? amount is in major units, as in 19.90"


def looks_minor(amount: Decimal, currency: str) -> bool | None:
    """Return whether an amount may be in minor units; `None` if the currency has none."""
    if currency in WITHOUT_MINOR_UNIT:
        return None
    return amount >= LEAST_IN_MINOR_UNITS and amount == amount.to_integral_value()
