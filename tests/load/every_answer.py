"""Every kind of answer that a server can give, legal or not, as bytes on the wire; and what is to be made of it."""

from __future__ import annotations

import gzip
import itertools
import json

from sm_locust.record import outcome as kinds
from tests.oracles.answers import CLOSE, HALF, HANG, RESET, Step, answer, ok

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nset\r\n3\r\nosa\r\n0\r\n\r\n"
ZIPPED = gzip.compress(b'{"message": "no"}', mtime=0)
TINY: list[Step] = list(itertools.chain.from_iterable((bytes([byte]), 0.0005) for byte in ok()))
MORE: list[Step] = [b"X-More: 1\r\n", 0.01]
ENDLESS: list[Step] = [b"HTTP/1.1 200 OK\r\n", *MORE * 200, HANG]

# AWS's name for an error; the status it comes with, the kind it is.
NAMED = {
    "ModelError": (424, kinds.MODEL_ERROR),
    "ModelNotReadyException": (429, kinds.NOT_READY),
    "ServiceUnavailable": (503, kinds.UNAVAILABLE),
    "InternalFailure": (500, kinds.INTERNAL),
    "InternalDependencyException": (530, kinds.DEPENDENCY),
    "ValidationError": (400, kinds.VALIDATION),
    "ValidationException": (400, kinds.VALIDATION),
    "ThrottlingException": (400, kinds.THROTTLED),
    "InvalidSignatureException": (403, kinds.INVALID_SIGNATURE),
    "UnrecognizedClientException": (403, kinds.UNRECOGNIZED_CLIENT),
    "ExpiredTokenException": (403, kinds.EXPIRED_TOKEN),
    "AccessDeniedException": (403, kinds.ACCESS_DENIED),
    "MissingAuthenticationTokenException": (403, kinds.MISSING_TOKEN),
    "NeverHeardOfException": (400, kinds.UNEXPECTED_ANSWER),
}

# What the server does; the kind, status, body and bytes received of the one Outcome.
ANSWERED: dict[str, tuple[list[Step], str, int, bytes]] = {
    "a length": ([ok()], kinds.OK, 200, b"setosa"),
    "chunks": ([CHUNKED], kinds.OK, 200, b"setosa"),
    "chunks in pieces": ([CHUNKED[:50], 0.01, CHUNKED[50:55], 0.01, CHUNKED[55:]], kinds.OK, 200, b"setosa"),
    "the connection's end": ([b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsetosa", CLOSE], kinds.OK, 200, b"setosa"),
    "100 first": ([b"HTTP/1.1 100 Continue\r\n\r\n", 0.01, ok()], kinds.OK, 200, b"setosa"),
    "100 in the same segment": ([b"HTTP/1.1 100 Continue\r\n\r\n" + ok()], kinds.OK, 200, b"setosa"),
    "204": ([b"HTTP/1.1 204 No Content\r\n\r\n"], kinds.OK, 204, b""),
    "202 without a body": ([answer(202)], kinds.OK, 202, b""),
    "one byte at a time": (TINY, kinds.OK, 200, b"setosa"),
    "bytes after the end": ([ok() + b"\x00garbage"], kinds.OK, 200, b"setosa"),
    "a binary body": ([ok(bytes(range(256)))], kinds.OK, 200, bytes(range(256))),
    "an error that is not UTF-8": ([answer(500, b"\xff\xfe\x00")], kinds.INTERNAL, 500, b"\xff\xfe\x00"),
    "a redirect": ([answer(302, b"", "Location: http://127.0.0.1:1/")], kinds.REDIRECT, 302, b""),
    "a closed connection, at once": ([CLOSE], kinds.RESET, 0, b""),
    "a closed connection, mid-header": ([b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE], kinds.RESET, 0, b""),
    "a closed connection, mid-body": ([answer(200, b"setosa")[:-3], CLOSE], kinds.RESET, 0, b"set"),
    "a closed connection, mid-chunk": ([CHUNKED[:-9], CLOSE], kinds.RESET, 0, b"seto"),
    "a closed connection after 100": ([b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE], kinds.RESET, 0, b""),
    "a reset": ([RESET], kinds.RESET, 0, b""),
    "a reset mid-body": ([answer(200, b"setosa")[:-3], 0.05, RESET], kinds.RESET, 0, b"set"),
    "no HTTP": ([b"\x16\x03\x01 garbage\r\n\r\n", HANG], kinds.PROTOCOL, 0, b""),
    "a broken chunk": ([CHUNKED.replace(b"3\r\nosa", b"Z\r\nosa"), HANG], kinds.PROTOCOL, 0, b"set"),
    "nothing": ([HANG], kinds.TIMEOUT, 0, b""),
    "nothing after a few bytes": ([ok()[:-3], HANG], kinds.TIMEOUT, 0, b"set"),
    "chunks with extensions and trailers": (
        [CHUNKED.replace(b"3\r\nset", b"3;name=value\r\nset").replace(b"0\r\n\r\n", b"0\r\nx-amz-sum: 1\r\n\r\n")],
        kinds.OK,
        200,
        b"setosa",
    ),
    "a length, and then the connection's end": ([ok(b"setosa", "Connection: close"), CLOSE], kinds.OK, 200, b"setosa"),
    "HTTP/1.0 until the end": ([b"HTTP/1.0 200 OK\r\n\r\nsetosa", CLOSE], kinds.OK, 200, b"setosa"),
    "several interim answers": (
        [b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0.01, ok()],
        kinds.OK,
        200,
        b"setosa",
    ),
    "a body of nothing": ([ok(b"")], kinds.OK, 200, b""),
    "a status without a phrase": ([b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"], kinds.OK, 200, b"ok"),
    "a header without a value": ([ok(b"setosa", "X-Empty:")], kinds.OK, 200, b"setosa"),
    "headers of 100 KB": ([ok(b"setosa", f"X-Long: {'x' * 100_000}")], kinds.OK, 200, b"setosa"),
    "an answer and the connection's end at once": ([ok(), CLOSE], kinds.OK, 200, b"setosa"),
    "a second answer": ([ok() + ok(b"unasked")], kinds.OK, 200, b"setosa"),
    "304": ([b"HTTP/1.1 304 Not Modified\r\n\r\n"], kinds.UNEXPECTED_ANSWER, 304, b""),
    "a compressed error": (
        [answer(503, ZIPPED, "Content-Encoding: gzip")],
        kinds.UNAVAILABLE,
        503,
        ZIPPED,
    ),
    "an error in chunks": (
        [CHUNKED.replace(b"200 OK", b"424 Failed\r\nx-amzn-ErrorType: ModelError")],
        kinds.MODEL_ERROR,
        424,
        b"setosa",
    ),
    "an error that ends with the connection": ([b"HTTP/1.1 500 No\r\n\r\n{}", CLOSE], kinds.INTERNAL, 500, b"{}"),
    "two lengths that differ": (
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", HANG],
        kinds.PROTOCOL,
        0,
        b"",
    ),
    "a header without a colon": ([b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", HANG], kinds.PROTOCOL, 0, b""),
    "a length that is no number": ([b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", HANG], kinds.PROTOCOL, 0, b""),
    "chunks that never end": ([CHUNKED[:-5], HANG], kinds.TIMEOUT, 0, b"setosa"),
    "headers that never end": (ENDLESS, kinds.TIMEOUT, 0, b""),
    "half of a connection, at once": ([HALF, HANG], kinds.RESET, 0, b""),
    "half of a connection, mid-body": ([ok()[:-3], HALF, HANG], kinds.RESET, 0, b"set"),
    "an answer and half of a connection": ([ok(), HALF], kinds.OK, 200, b"setosa"),
    "a reset after the answer": ([ok(), RESET], kinds.OK, 200, b"setosa"),
    "a folded header": ([ok(b"setosa", "X-Folded: one\r\n two")], kinds.PROTOCOL, 0, b""),
    "a repeated header": ([ok(b"setosa", "X-Twice: 1", "X-Twice: 2")], kinds.OK, 200, b"setosa"),
    "a length and chunks": (
        [CHUNKED.replace(b"Transfer", b"Content-Length: 6\r\nTransfer"), HANG],
        kinds.PROTOCOL,
        0,
        b"",
    ),
    "304 with the length of what it does not send": (
        [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n"],
        kinds.UNEXPECTED_ANSWER,
        304,
        b"",
    ),
    "bytes after the end of nothing": ([b"HTTP/1.1 204 No Content\r\n\r\n", b"garbage"], kinds.OK, 204, b""),
    "a compressed error in chunks": (
        [
            b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(ZIPPED), ZIPPED)
        ],
        kinds.INTERNAL,
        500,
        ZIPPED,
    ),
    "interim answers that never end": ([b"HTTP/1.1 102 Processing\r\n\r\n", HANG], kinds.TIMEOUT, 0, b""),
}

_SAID = json.dumps({"message": "because"}).encode()

for _name, (_status, _kind) in NAMED.items():
    _spelled = json.dumps({"__type": f"com.amazonaws#{_name}", "message": "because"}).encode()
    _long = f"X-AMZN-ERRORTYPE: com.amazonaws#{_name}:http://internal.amazon.com/coral/x"
    ANSWERED |= {
        f"{_name} in the header": ([answer(_status, _SAID, f"x-amzn-ErrorType: {_name}")], _kind, _status, _SAID),
        f"{_name} at length in the header": ([answer(_status, _SAID, _long)], _kind, _status, _SAID),
        f"{_name} in the body": ([answer(_status, _spelled)], _kind, _status, _spelled),
    }
