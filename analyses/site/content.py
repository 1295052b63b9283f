"""What makes a page or a file of the site."""

from collections.abc import Callable

Content = Callable[[], str | bytes]
