"""A mail server that is slow, refuses, greylists, and drops connections at each stage.

Prints its port, and then one line of JSON for each thing that happened:

    {"event": "taken", "id": MESSAGE-ID, "to": ADDRESS}     it has the mail; whether it says so or not
    {"event": "dropped", "stage": STAGE}                    it has closed a connection

Run: hostile_smtp.py LOG SEED HOSTILITY [CERTIFICATE KEY]. With a certificate it wants STARTTLS, and the login "user", "hush".
"""

import asyncio
import email
import json
import random
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, Session, Envelope

log = open(sys.argv[1], "a", buffering=1)
chance = random.Random(int(sys.argv[2]))
hostility = float(sys.argv[3])
greylisted = set()


def note(**fields):
    log.write(json.dumps(fields) + "\n")


def strikes():
    return chance.random() < hostility


async def slowly():
    if strikes():
        await asyncio.sleep(chance.random() * 0.05)


class Hostile(SMTP):
    def drop(self, stage):
        note(event="dropped", stage=stage)
        self.transport.abort()

    def connection_made(self, transport):
        if strikes():
            note(event="dropped", stage="connect")
            transport.abort()
            return
        super().connection_made(transport)

    async def smtp_EHLO(self, hostname):
        await slowly()
        if strikes():
            return self.drop("EHLO")
        await super().smtp_EHLO(hostname)

    async def smtp_MAIL(self, arg):
        await slowly()
        if strikes():
            return self.drop("MAIL")
        if strikes():
            return await self.push("451 4.3.0 not now")
        await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg):
        await slowly()
        if strikes():
            return self.drop("RCPT")
        if hostility and arg not in greylisted and chance.random() < 0.5:
            greylisted.add(arg)
            return await self.push("450 4.7.1 greylisted")
        if "nobody" in arg:
            return await self.push("550 5.1.1 there is no such mailbox")
        await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg):
        await slowly()
        if strikes():
            return self.drop("DATA")
        if strikes():
            await self.push("354 go on")
            await self._reader.read(1000)
            return self.drop("body")
        await super().smtp_DATA(arg)


class Mailbox:
    def __init__(self):
        self.server = None

    async def handle_DATA(self, server, session: Session, envelope: Envelope):
        await slowly()
        if strikes():
            return "452 4.3.1 there is no room now"
        content = email.message_from_bytes(envelope.original_content or envelope.content)
        if strikes():
            note(event="dropped", stage="end, not taken")
            server.transport.abort()
            return "421 gone"
        with open(sys.argv[1] + ".last", "wb") as last:
            last.write(envelope.original_content or envelope.content)
        note(event="taken", id=content["Message-ID"], to=envelope.rcpt_tos[0])
        if strikes():
            note(event="dropped", stage="end, taken")
            server.transport.abort()
        return "250 2.0.0 taken"


def authenticated(server, session, envelope, mechanism, data):
    return AuthResult(success=isinstance(data, LoginPassword) and (data.login, data.password) == (b"user", b"hush"))


async def main():
    options = {"decode_data": False, "enable_SMTPUTF8": False, "timeout": 60}
    if len(sys.argv) > 4:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[4], sys.argv[5])
        options |= {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": authenticated}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Hostile(Mailbox(), hostname="hostile.example", **options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
