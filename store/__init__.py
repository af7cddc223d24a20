"""What pynet remembers: the journal of attachments, and who holds which address."""
