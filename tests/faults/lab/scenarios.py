"""The list of scenarios: functions that break something while clients ask, and return a Report."""

SCENARIOS = {}


def scenario(function=None, *, needs_root=False):
    """Adds a function(lab) to the list under its name with hyphens."""
    def add(function):
        function.needs_root = needs_root
        SCENARIOS[function.__name__.replace("_", "-")] = function
        return function
    return add(function) if function else add
