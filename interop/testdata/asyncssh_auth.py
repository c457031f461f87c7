"""AsyncSSH's ways to log in. As "server": HOST_KEY KNOWN_CLIENT_HOSTS. As "client": a JSON job on standard input."""

import asyncio
import json
import signal
import sys

import asyncssh


class Server(asyncssh.SSHServer):
    passwords = {"changing": "old"}

    def __init__(self):
        self.user = ""
        self.round = 0

    def begin_auth(self, username):
        self.user = username
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        if username == "changing" and password == "old" and self.passwords[username] == "old":
            raise asyncssh.PasswordChangeRequired("Choose a new one:", "en-US")
        return password == self.passwords.get(username, "pw of " + username)

    def change_password(self, username, old_password, new_password):
        if new_password == "old":
            raise asyncssh.PasswordChangeRequired("Not that one:", "en-US")
        self.passwords[username] = new_password
        return old_password == "old"

    def kbdint_auth_supported(self):
        return True

    def get_kbdint_challenge(self, username, lang, submethods):
        self.round = 1
        return "first", "Two questions.", "en", [("Name: ", True), ("Code: ", False)]

    def validate_kbdint_response(self, username, responses):
        if self.round == 1 and responses == ["me", "42"]:
            self.round = 2
            return "second", "", "", [("Again: ", False)]
        return self.round == 2 and responses == ["43"]

    def validate_host_based_user(self, username, client_host, client_username):
        return (username, client_host, client_username) == ("alice", "client.example", "bob")


async def finish(process):
    process.stdout.write("in as " + process.get_extra_info("username"))
    process.exit(0)


async def serve(host_key, known_client_hosts):
    async with await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[host_key],
        known_client_hosts=known_client_hosts,
        trust_client_host=True,
        process_factory=finish,
    ) as listener:
        print("listening on 127.0.0.1:%d" % listener.get_port(), flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


async def log_in(job):
    result = {"hostkeys": []}

    class Client(asyncssh.SSHClient):
        def password_change_requested(self, prompt, lang):
            return job["password"], job["new_password"]

        def kbdint_auth_requested(self):
            return "otp"

        def kbdint_challenge_received(self, name, instructions, lang, prompts):
            return [job["answers"][prompt] for prompt, _ in prompts]

    told = asyncio.Event()

    def host_keys(added, removed, retained, revoked):
        result["hostkeys"] = sorted(k.get_fingerprint() for k in added + retained)
        told.set()

    options = {
        "host": job["host"],
        "port": job["port"],
        "username": job["user"],
        "known_hosts": job["known_hosts"],
        "config": None,
        "agent_path": None,
        "client_keys": None,
        "preferred_auth": job["method"],
        "client_factory": Client,
        "login_timeout": 30,
    }
    if job.get("password"):
        options["password"] = job["password"]
    if job.get("host_key"):
        options.update(client_host_keys=[job["host_key"]], client_host="client.example", client_username="bob")
    if job.get("hostkeys"):
        options["server_host_keys_handler"] = host_keys
    async with asyncssh.connect(**options) as conn:
        if job.get("hostkeys"):
            await asyncio.wait_for(told.wait(), 20)
        done = await conn.run("whoami", stdin=asyncssh.DEVNULL)
        result["output"] = done.stdout
    json.dump(result, sys.stdout)


if sys.argv[1] == "server":
    asyncio.run(serve(*sys.argv[2:]))
else:
    asyncio.run(log_in(json.load(sys.stdin)))
