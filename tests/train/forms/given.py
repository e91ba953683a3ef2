"""What the forms of functions are given: shapes of samples, and a mark."""

ROWS, SEQUENCE, IMAGE, WIDE = (3, 8), (3, 4, 6), (3, 4, 4, 4), (3, 4, 6, 8)


def sized(form):
    """Marks a form that needs the shape of its input."""
    form.sized = True
    return form


def each(function, forms):
    return [form(function) for form in forms]
