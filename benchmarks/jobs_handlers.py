"""The trivial job of the benchmarks: what is measured is the way there and back."""

from pydantic import BaseModel

from jobs.author import JobContext, job


class Parcel(BaseModel):
    """What each job carries."""

    number: int
    text: str


@job("PARCEL")
async def parcel(payload: Parcel, context: JobContext) -> Parcel:
    """Return what came."""
    return payload
