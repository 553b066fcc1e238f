"""What was agreed: the document and its terms, closed and typed. Pure."""
