"""The write-ahead journal of one process: what was appended and written survives its end, whatever ends it.

Payloads are opaque. A directory of segment files has one owner at a time. Promises: kill -9 loses nothing that was
written; power loss at most what was written in the last second.
"""

from engine.journal.backlog import Entry
from engine.journal.record import LONGEST, JournalError
from engine.journal.recover import Recovery, recover
from engine.journal.segment import SEGMENT, START, Position
from engine.journal.write import Journal

__all__ = ["LONGEST", "SEGMENT", "START", "Entry", "Journal", "JournalError", "Position", "Recovery", "recover"]
