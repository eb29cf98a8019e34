import pytest
@pytest.mark.parametrize("n", range(6))
@pytest.mark.asyncio
async def test_db(database, redis_url, n):
    async with database.connection() as c:
        r = await (await c.execute("select count(*) from emails")).fetchone()
        assert r[0] == 0
