"""What a comparison says."""

import msgspec

NO_INTERVAL = (float("nan"), float("nan"))


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two columns compared.

    Parameters
    ----------
    method
        As it was asked for.
    statistic
        In the method's own definition.
    p_value
        Chance of such a statistic if nothing moved; None where the method has no test.
    effect, interval
        Size of the change with its 95 % interval, in the method's unit; NaN where there is none.
    n_reference, n_current
        Rows that took part.
    note
        What was set aside or pooled.
    """

    method: str
    statistic: float
    p_value: float | None = None
    effect: float
    interval: tuple[float, float] = NO_INTERVAL
    n_reference: int
    n_current: int
    note: str = ""

    @classmethod
    def of(
        cls,
        method: str,
        rows: tuple[int, int],
        statistic: float,
        p_value: float | None,
        effect: float,
        interval: tuple[float, float],
        note: str = "",
    ) -> "Comparison":
        """Make one of what NumPy and SciPy give: their numbers become Python's.

        Parameters
        ----------
        method, statistic, p_value, effect, interval, note
            As the fields.
        rows
            Rows of the reference and of the current data.
        """
        return cls(
            method=method,
            statistic=float(statistic),
            p_value=None if p_value is None else float(p_value),
            effect=float(effect),
            interval=(float(interval[0]), float(interval[1])),
            n_reference=rows[0],
            n_current=rows[1],
            note=note,
        )
