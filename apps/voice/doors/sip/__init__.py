"""SIP: telephones and telephone exchanges dial the assistant directly, and it dials them."""
