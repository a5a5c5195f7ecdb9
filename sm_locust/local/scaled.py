"""What Application Auto Scaling scales here, in its words: the variant's instances or the inference component's copies.

An instance holds one copy, so their numbers are one number, the fleet's. Which of the two the settings say; what is
done with it is autoscaling's.

Source: SageMaker developer guide, "Amazon SageMaker AI metrics in Amazon CloudWatch" (names, dimensions, statistics)
and "Define a scaling policy".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sm_locust.local.metrics import component_dimensions, variant_dimensions
from sm_locust.local.settings import Settings

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
COPIES = "sagemaker:inference-component:DesiredCopyCount"

PREDEFINED = "SageMakerVariantInvocationsPerInstance"
CONCURRENCY = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
PER_COPY = "SageMakerInferenceComponentInvocationsPerCopy"
CONCURRENCY_PER_COPY = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"


@dataclass(frozen=True, slots=True)
class Scaled:
    """The one thing that can be registered.

    counted     what an activity calls its capacity
    predefined  each predefined metric it has: its CloudWatch name and the statistic of its alarms. A high-resolution
                one's alarm looks at ten seconds in AWS and at a minute here, as often as target tracking steps; of Min
                and Max, which the guide calls valid for it, only Max can be held below a target.
    """

    kind: str
    resource_id: str
    dimension: str
    counted: str
    metric_dimensions: Mapping[str, str]
    predefined: Mapping[str, tuple[str, str]]


def scaled(settings: Settings) -> Scaled:
    if settings.inference_component is not None:
        return Scaled(
            "inference component",
            f"inference-component/{settings.inference_component}",
            COPIES,
            "copy count",
            component_dimensions(settings),
            {
                PER_COPY: ("InvocationsPerCopy", "Sum"),
                CONCURRENCY_PER_COPY: ("ConcurrentRequestsPerCopy", "Maximum"),
            },
        )
    return Scaled(
        "variant",
        f"endpoint/{settings.endpoint}/variant/{settings.variant}",
        DIMENSION,
        "instance count",
        variant_dimensions(settings),
        {PREDEFINED: ("InvocationsPerInstance", "Sum"), CONCURRENCY: ("ConcurrentRequestsPerModel", "Maximum")},
    )
