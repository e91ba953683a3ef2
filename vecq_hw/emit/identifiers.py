"""Legal, stable, unique identifiers for C++ and SystemVerilog from the names users give."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

# Words that are reserved in one of the two languages, or that the emitters use themselves.
_RESERVED = frozenset(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class compl concept const consteval constexpr constinit const_cast continue co_await
    co_return co_yield decltype default delete do double dynamic_cast else enum explicit export
    extern false float for friend goto if inline int long mutable namespace new noexcept not not_eq
    nullptr operator or or_eq private protected public register reinterpret_cast requires return
    short signed sizeof static static_assert static_cast struct switch template this thread_local
    throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while
    xor xor_eq main std vecq hls top
    eof errno file linux size_t stderr stdin stdout unix ap_int ap_uint ap_fixed ap_ufixed
    accept_on alias always always_comb always_ff always_latch assert assign assume automatic before
    begin bind bins binsof bit buf bufif0 bufif1 byte casex casez cell chandle checker clocking cmos
    config constraint context cover covergroup coverpoint cross deassign defparam design disable
    dist edge end endcase endchecker endclass endclocking endconfig endfunction endgenerate
    endgroup endinterface endmodule endpackage endprimitive endprogram endproperty endspecify
    endsequence endtable endtask event eventually expect extends final first_match force foreach
    forever fork forkjoin function generate genvar global highz0 highz1 iff ifnone ignore_bins
    illegal_bins implements implies import incdir include initial inout input inside instance
    integer interconnect interface intersect join join_any join_none large let liblist library
    local localparam logic longint macromodule matches medium modport module nand negedge nettype
    nexttime nmos nor noshowcancelled notif0 notif1 null output package packed parameter pmos
    posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
    ref reg reject_on release repeat restrict rnmos rpmos rtran rtranif0 rtranif1 s_always
    s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    small soft solve specify specparam strong strong0 strong1 super supply0 supply1
    sync_accept_on sync_reject_on table tagged task time timeprecision timeunit tran tranif0
    tranif1 tri tri0 tri1 triand trior trireg type unique unique0 until until_with untyped use uwire
    var vectored virtual wait wait_order wand weak weak0 weak1 wildcard wire with within wor xnor
    aclk aresetn
    """.split()
)
_LONGEST = 40


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A legal identifier for each name: lower case where possible, never two the same.

    Examples
    --------
    >>> identifiers(["fc1", "features.0", "features_0", "int"])
    {'fc1': 'fc1', 'features.0': 'features_0', 'features_0': 'features_0_2', 'int': 'int_'}
    """
    taken: set[str] = set()
    result: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "layer"
        if plain[0].isdigit():
            plain = f"n{plain}"
        if len(plain) > _LONGEST:
            plain = f"{plain[:_LONGEST]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        if plain in _RESERVED or plain.lower() in _RESERVED:
            plain += "_"
        # Case must differ in more than case: some file systems and tools fold it.
        candidate, count = plain, 2
        while candidate.lower() in taken:
            candidate, count = f"{plain}_{count}".replace("__", "_"), count + 1
        taken.add(candidate.lower())
        result[name] = candidate
    return result


def end_suffixes(names: Iterable[str]) -> dict[str, str]:
    """What tells the inputs of a network, or its outputs, from each other in names: none of one.

    Examples
    --------
    >>> end_suffixes(["x"]), end_suffixes(["left eye", "int"])
    ({'x': ''}, {'left eye': '_left_eye', 'int': '_int'})
    """
    plain = identifiers(names)
    if len(plain) == 1:
        return dict.fromkeys(plain, "")
    # Behind other words nothing is reserved.
    return {name: f"_{identifier.rstrip('_')}" for name, identifier in plain.items()}
