"""What every HTTP face shares: server, body bounds, edge, paging, JSON faces. Imports no application."""
