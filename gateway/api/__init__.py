"""HTTP: routers that translate, and nothing that decides."""
