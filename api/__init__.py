"""HTTP for applications, in Resend's wire shapes where the nouns meet."""
