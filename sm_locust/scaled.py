"""What automatic scaling scales: the watched variant's instances, or the copies of the inference component it holds.

Which of them follows from the configuration alone (`RunConfig.scales_copies`); here is what Application Auto Scaling
and we call it. How many there are, and asking for others, is aws/'s; how many there should be is the analysis's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sm_locust.config import RunConfig

OF_INSTANCES = "sagemaker:variant:DesiredInstanceCount"
OF_COPIES = "sagemaker:inference-component:DesiredCopyCount"

# The predefined metrics whose target is a rate a minute: of a variant's instance, of an inference component's copy.
PER_INSTANCE, PER_COPY = "SageMakerVariantInvocationsPerInstance", "SageMakerInferenceComponentInvocationsPerCopy"

PREFIX = "sm-locust-"  # of the names of our policies: others are nobody's to delete


@dataclass(frozen=True, slots=True)
class Scaled:
    """What is scaled, as Application Auto Scaling names it.

    dimension  OF_INSTANCES or OF_COPIES
    metric     PER_INSTANCE or PER_COPY
    name       of the endpoint or inference component
    unit       what there are more or fewer of
    """

    resource_id: str
    dimension: str
    metric: str
    name: str
    unit: str

    @classmethod
    def of(cls, config: RunConfig) -> Scaled | None:
        """None where the configuration names no endpoint, or not the component that its scaling metric is of."""
        target, component = config.target, config.request.inference_component
        if target is None or target.endpoint is None:
            return None
        if config.scales_copies:
            if component is None:
                return None
            return cls(f"inference-component/{component}", OF_COPIES, PER_COPY, component, "copy")
        resource_id = f"endpoint/{target.endpoint}/variant/{target.variant}"
        return cls(resource_id, OF_INSTANCES, PER_INSTANCE, target.endpoint, "instance")

    @property
    def copies(self) -> bool:
        """Whether it is an inference component."""
        return self.dimension == OF_COPIES

    @property
    def units(self) -> str:
        """Several of them."""
        return "copies" if self.copies else "instances"

    def counted(self, n: int) -> str:
        return f"{n:,} {self.unit if n == 1 else self.units}"
