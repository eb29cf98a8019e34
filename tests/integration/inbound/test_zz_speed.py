import asyncio, time, smtplib, sys
import pytest
from tests.integration.inbound.conftest import *
from tests.integration.inbound.test_processes import Program
from tests.unit.mta.bounce_corpus import CORPUS
from workers.background import sweep

CLIENT = '''
import smtplib, sys, threading, time
port, key, n, threads, size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
body = b"From: a@shop.example\\r\\nTo: ann@x.example\\r\\nSubject: hi\\r\\n\\r\\n" + (b"x"*70+b"\\r\\n")*(size//72)
def run():
    c = smtplib.SMTP("127.0.0.1", port)
    c.login("x", key)
    for i in range(n):
        c.sendmail("a@shop.example", ["ann@x.example"], body)
    c.close()
ts=[threading.Thread(target=run) for _ in range(threads)]
t=time.perf_counter()
[x.start() for x in ts]; [x.join() for x in ts]
print(n*threads/(time.perf_counter()-t))
'''
@pytest.mark.parametrize("size", [5000, 150000])
async def test_speed(settings, account, database, tmp_path, size):
    import subprocess
    p = Program(settings, tmp_path/"inbound.log", "inbound")
    try:
        ready = await asyncio.to_thread(p.line, "inbound_ready")
        n = 150 if size < 10000 else 15
        def cpu():
            f = open(f"/proc/{p.process.pid}/stat").read().split()
            return (int(f[13])+int(f[14]))/100
        c0 = cpu()
        out = await asyncio.to_thread(subprocess.check_output, [sys.executable, "-c", CLIENT, str(ready["submission_port"]), account.key, str(n), "16", str(size)])
        print("size", size, "mails/s", out.decode().strip(), "CPU us/mail", (cpu()-c0)*1e6/(n*16))
    finally:
        p.stop()

async def test_sweep_speed(account, database, tools):
    from outcomes.inbound import store_inbound
    mails = [await delivered_mail(database, account) for _ in range(200)]
    async with database.transaction() as c:
        await store_inbound(c, [(m.path, CORPUS["postfix, unknown user"].data) for m in mails])
    t=time.perf_counter(); n = await sweep(tools); print("sweep/s", n/(time.perf_counter()-t))
