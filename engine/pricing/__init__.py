"""What a call costs: model prices by name, and the sum for one call's usage.

Unit prices are integers of 10^-18 USD, read from the decimal text: no float touches money. A call's sum is
rounded once, half up, to nano-dollars. Field names are those of the published price map.
"""

from engine.pricing.price import Price, nano
from engine.pricing.prices import Prices, agrees, custom, decoded

__all__ = ["Price", "Prices", "agrees", "custom", "decoded", "nano"]
