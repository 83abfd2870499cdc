"""The cases of RFC 4475 (SIP torture tests) as messages of our own, sent to a real server.

Each names what the server may answer. What is only odd has to be understood; what is wrong has to
be refused, or, where nobody could be answered, passed over. A call that goes on meanwhile must not
notice.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

from tests.doors.parts import Failed, check
from tests.e2e.telephone import Telephone

WAIT_S = 1.0
NONE = 0
"""No answer at all."""
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0\r\n"
)


@dataclass(frozen=True)
class Case:
    """One message.

    Attributes:
        name: RFC 4475's name for it.
        may: The statuses that may come.
        data: The message; `PORT` and `~ID~` are filled in.
    """

    name: str
    may: tuple[int, ...]
    data: bytes


def message(first: str, body: bytes = b"", *, without: str = "", **headers: str) -> bytes:
    """Return an ordinary message with some header lines other than they should be."""
    method = first.split(maxsplit=1)[0]
    fields = {
        "Via": "SIP/2.0/UDP 127.0.0.1:PORT;rport;branch=z9hG4bK~ID~",
        "Max-Forwards": "70",
        "From": "<sip:caller@example.com>;tag=t~ID~",
        "To": "<sip:kfz@127.0.0.1>",
        "Call-ID": "~ID~",
        "CSeq": f"1 {method}",
        "Contact": "<sip:caller@127.0.0.1:PORT>",
        "Content-Length": str(len(body)),
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if name != without]
    return "\r\n".join([first, *lines, "", ""]).encode("utf-8", "surrogateescape") + body


def options(uri: str = "sip:kfz@127.0.0.1", **headers: str) -> bytes:
    """Return an OPTIONS, which changes nothing when it is understood."""
    return message(f"OPTIONS {uri} SIP/2.0", **headers)


def invite(body: bytes = SDP, **headers: str) -> bytes:
    """Return an INVITE."""
    fields = {"Content_Type": "application/sdp", **headers}
    return message("INVITE sip:kfz@127.0.0.1 SIP/2.0", body, **fields)


ODD_SPACE = (
    b"OPTIONS sip:kfz@127.0.0.1;unknownparam SIP/2.0\r\nTO :\r\n sip:kfz@127.0.0.1 ; x = 1\r\n"
    b'F: "J Rosenberg \\\\\\"" <sip:jdr@example.com>\r\n  ;\r\n  tag = t~ID~\r\n'
    b"mAx-foRWARds: 0068\r\nCall-ID: ~ID~\r\nl: 000\r\ncseq: 0009\r\n  OPTIONS\r\n"
    b"v: SIP / 2.0\r\n / UDP\r\n   127.0.0.1:PORT;rport;branch=z9hG4bK~ID~\r\ns :\r\n"
    b"NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    b'UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nm:"Quoted string \\"\\"" '
    b"<sip:jdr@example.com> ; newparam =\r\n  newvalue\r\n\r\n"
)
LONG = {f"Unknown-{n}": "x" * 120 for n in range(60)}
CASES = [
    # 3.1.1: valid, however odd
    Case("wsinv", (200,), ODD_SPACE),
    Case(
        "intmeth",
        (405, 501),
        message("!interesting-Method0123456789_*+`.%indeed'~ sip:a@b SIP/2.0"),
    ),
    Case("esc01", (200, 404), options("sip:sips%3Auser%40example.com@127.0.0.1")),
    Case(
        "escnull",
        (405, 403, 200),
        message("REGISTER sip:127.0.0.1 SIP/2.0", To="<sip:null-%00-null@a.b>"),
    ),
    Case("esc02", (405, 501), message("RE%47IST%45R sip:127.0.0.1 SIP/2.0")),
    Case("lwsdisp", (200,), options(From="caller<sip:caller@example.com>;tag=t~ID~")),
    Case("longreq", (200, 413, 513), options(**LONG)),
    Case("dblreq", (200,), options() + b"INVITE sip:second@127.0.0.1 SIP/2.0\r\n\r\n"),
    Case("semiuri", (200, 404), options("sip:user;par=u%40example.net@127.0.0.1")),
    Case(
        "transports",
        (200,),
        options().replace(b"Max-F", b"Via: SIP/2.0/UNKNOWN t1;branch=z9hG4bKx\r\nMax-F", 1),
    ),
    Case(
        "unreason",
        (NONE,),
        message("SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e", CSeq="35 INVITE"),
    ),
    Case("noreason", (NONE,), message("SIP/2.0 100 ", CSeq="35 INVITE")),
    # 3.1.2: wrong
    Case("badinv01", (400,), options(Contact='"Joe" <sip:joe@example.org>;;;;')),
    Case("clerr", (400, NONE), options(Content_Length="9999")),
    Case("ncl", (400,), options(Content_Length="-999")),
    Case("scalar02", (400,), options(CSeq="36893488147419103232 OPTIONS")),
    Case("scalarlg", (NONE,), message("SIP/2.0 503 Busy", CSeq="9292394834772304023312 OPTIONS")),
    Case("quotbal", (400,), options(To='"Mr. J. User <sip:j.user@example.com>')),
    Case("ltgtruri", (400,), options("<sip:kfz@127.0.0.1>")),
    Case("lwsruri", (400,), options("sip:kfz@127.0.0.1; lr")),
    Case("lwsstart", (400,), message("OPTIONS  sip:kfz@127.0.0.1  SIP/2.0")),
    Case("trws", (400, 200), message("OPTIONS sip:kfz@127.0.0.1 SIP/2.0 ")),
    Case("escruri", (400, 404, 200), options("sip:kfz@127.0.0.1?Route=%3Csip:example.com%3E")),
    Case("baddate", (200, 400), options(Date="Fri, 01 Jan 2010 16:00:00 EST")),
    Case(
        "regbadct",
        (400, 405),
        message("REGISTER sip:127.0.0.1 SIP/2.0", Contact="sip:u@example.com?Route=%3Csip:x%3E"),
    ),
    Case("badaspec", (400, 200), options(To='"Watson, Thomas" < sip:t.watson@example.org >')),
    Case("baddn", (400,), options(From="Bell, Alexander <sip:a.g.bell@example.com>;tag=43")),
    Case(
        "badvers",
        (505,),
        message("OPTIONS sip:t.watson@example.org SIP/7.0"),
    ),
    Case("mismatch01", (400,), options(CSeq="8 INVITE")),
    Case(
        "mismatch02",
        (400, 501, 405),
        message("NEWMETHOD sip:kfz@127.0.0.1 SIP/2.0", CSeq="8 INVITE"),
    ),
    Case(
        "bigcode",
        (NONE,),
        message("SIP/2.0 4294967301 better not break the receiver", CSeq="1 OPTIONS"),
    ),
    # 3.2: transactions; 3.3: what an application has to judge
    Case("badbranch", (200, 400), options(Via="SIP/2.0/UDP 127.0.0.1:PORT;rport;branch=z9hG4bK")),
    Case("insuf", (400, NONE), options(without="From")),
    Case("insuf, no Call-ID", (400, NONE), options(without="Call-ID")),
    Case("unkscm", (416,), options("nobodyKnowsThisScheme:totallyopaquecontent")),
    Case("novelsc", (416,), options("soap.beep://192.0.2.103:3002")),
    Case(
        "unksm2", (405, 400, 416), message("REGISTER sip:127.0.0.1 SIP/2.0", To="isbn:2983792873")
    ),
    Case("bext01", (420,), options(Require="nothingSupportsThis, nothingSupportsThisEither")),
    Case("invut", (415,), invite(b"<audio>\r\n</audio>", Content_Type="application/unknownformat")),
    Case(
        "regaut01",
        (405, 401, 403),
        message(
            "REGISTER sip:127.0.0.1 SIP/2.0", Authorization="NoOneKnowsThisScheme opaque-data=here"
        ),
    ),
    Case("multi01", (400,), options().replace(b"To:", b"From: <sip:x@y>;tag=2\r\nTo:", 1)),
    Case("mcl01", (400,), options().replace(b"To:", b"Content-Length: 244\r\nTo:", 1)),
    Case(
        "bcast",
        (NONE,),
        message(
            "SIP/2.0 200 OK", Via="SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK~ID~", CSeq="1 INVITE"
        ),
    ),
    Case("zeromf", (200, 483), options(Max_Forwards="0")),
    Case(
        "cparam01",
        (405,),
        message(
            "REGISTER sip:127.0.0.1 SIP/2.0",
            Contact="sip:+19725552222@gw1.example.net;unknownparam",
        ),
    ),
    Case(
        "regescrt",
        (405,),
        message(
            "REGISTER sip:127.0.0.1 SIP/2.0",
            Contact="<sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
        ),
    ),
    Case("sdp01", (200, 406), options(Accept="text/nobodyKnowsThis")),
    Case("inv2543", (200, 487), invite().replace(b";rport;branch=z9hG4bK~ID~", b";rport")),
]


class _Answers(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.put_nowait(data)


async def answer_to(case: Case, number: int, port: int) -> int:
    """Send one message; returns the final status that came, or `NONE`."""
    loop = asyncio.get_running_loop()
    transport, answers = await loop.create_datagram_endpoint(
        _Answers, local_addr=("127.0.0.1", 0), remote_addr=("127.0.0.1", port)
    )
    try:
        local = str(transport.get_extra_info("sockname")[1]).encode()
        name = f"torture{number}".encode()
        transport.sendto(case.data.replace(b"PORT", local).replace(b"~ID~", name))
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while True:
                    answer = await answers.received.get()
                    status = re.match(rb"SIP/2.0 (\d{3}) ", answer)
                    if status is None or int(status[1]) < 200:
                        continue
                    if b"INVITE" in answer and int(status[1]) == 200:
                        transport.sendto(_after(answer, b"ACK", 1))
                        transport.sendto(_after(answer, b"BYE", 2))
                    return int(status[1])
    finally:
        transport.close()
    return NONE


def _after(answer: bytes, method: bytes, seq: int) -> bytes:
    """Return what follows the answer to an INVITE."""
    lines = [
        line
        for line in answer.split(b"\r\n")
        if line.lower().startswith((b"from:", b"to:", b"call-id:"))
    ]
    via = b"Via: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK" + method
    number = b"CSeq: %d %s" % (seq, method)
    head = method + b" sip:kfz@127.0.0.1 SIP/2.0"
    return b"\r\n".join([head, via, *lines, number, b"Content-Length: 0", b"", b""])


async def torture(port: int) -> list[str]:
    """Send every message while a call goes on; returns lines to show.

    Raises:
        Failed: Something was answered otherwise than it may be, or the call noticed.
    """
    phone = Telephone(port, "beside")
    await phone.plug_in()
    try:
        check((await phone.invite()).status == 200, "the call beside did not come about")
        talking = asyncio.create_task(phone.talk())
        came = [await answer_to(case, n, port) for n, case in enumerate(CASES)]
        talking.cancel()
        check(await phone.hang_up() == 200, "the call beside was not there any more")
    finally:
        phone.unplug()
    wrong = [
        f"{case.name} was answered {status or 'by nothing'}, not {case.may}"
        for case, status in zip(CASES, came, strict=True)
        if status not in case.may
    ]
    if wrong:
        raise Failed("; ".join(wrong))
    return [f"{len(CASES)} messages, all answered as they may be; a call beside went on"]
