"""A language server for ``.rob`` files, and their highlighting. The server needs the extra ``lsp``."""
