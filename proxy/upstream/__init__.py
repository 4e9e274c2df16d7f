"""The services' side: versions, their endpoints, and the connections to them."""
