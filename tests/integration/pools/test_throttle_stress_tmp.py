import random, sys, traceback
from store.database import Database
from tests.integration.pools.throttling import *
async def test_stress(database, database_url):
    second=Database(database_url,size=4,name="o"); await second.open()
    for n in range(400):
        one = book(database if n%2 else second); 
        await one.start()
        await asyncio.sleep(random.choice([0,0,0.0005,0.001,0.003,0.006,0.01]))
        at = now()
        one.throttled("ip", IP, f"s{n}", evidence(), at, at)
        await asyncio.sleep(random.choice([0,0,0.0005,0.001,0.003]))
        t=asyncio.create_task(one.stop())
        done,_=await asyncio.wait([t],timeout=8)
        if not done:
            print("HUNG at",n)
            for task in asyncio.all_tasks():
                print(task.get_name(), task.cancelling()); task.print_stack(file=sys.stdout)
                c=task.get_coro()
                while c is not None:
                    fr=getattr(c,'cr_frame',None) or getattr(c,'ag_frame',None) or getattr(c,'gi_frame',None)
                    if fr: print("   ",fr.f_code.co_filename.split('site-packages/')[-1],fr.f_lineno,fr.f_code.co_name)
                    c=getattr(c,'cr_await',None) or getattr(c,'ag_await',None)
            raise SystemExit("hung")
    await second.close()
    assert True
