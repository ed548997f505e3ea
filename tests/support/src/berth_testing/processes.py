"""Services as processes of their own, run by this Python."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

__all__ = ["run_module"]


@asynccontextmanager
async def run_module(
    name: str, *arguments: str, environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m name arguments`, killed at the end if it is still there.

    Args:
        name: of the package.
        arguments: of its command line.
        environment: on top of this process's.

    Yields:
        The process; standard output and error come together from `communicate`.
    """
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        name,
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()
