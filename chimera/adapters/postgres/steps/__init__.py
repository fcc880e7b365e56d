"""Steps of transactions that several stores take; each gets the connection of the transaction that it is a part of."""
