"""No balancing."""

from fusionlab.balancing.contract import BALANCERS, Balancer


@BALANCERS.register("none")
class NoBalancer(Balancer):
    """All modalities are trained together by the joint loss alone: L."""
