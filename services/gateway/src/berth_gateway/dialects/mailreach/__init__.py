"""MailReach's API, so that its clients work when their host is changed."""
