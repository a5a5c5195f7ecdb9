"""CloudWatch's operations: what was measured, as points, and the alarms on it.

Readers see a period only when it has been published; measuring is the metrics', alarms are autoscaling's.
"""

from __future__ import annotations

import re
from typing import Any

from sm_locust.local.autoscaling import AutoScaling
from sm_locust.local.gateway_metrics import GatewayMetrics
from sm_locust.local.metrics import MetricName, Metrics
from sm_locust.local.paging import page, read_token, token
from sm_locust.local.shapes import invalid

MOST_QUERIES = 500
MOST_POINTS = 100_800
HIGH_RESOLUTION = frozenset({1, 5, 10, 20, 30})
"""Periods below a minute. SageMaker's invocation metrics have none; the local endpoint's do, so that a compressed run,
whose minutes are shorter, can be read minute by minute."""

_REFUSED_TOKEN = "InvalidNextToken"  # nosec B105 # an error's name
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_METRICS_A_PAGE = 500
_ALARMS_A_PAGE = 50
_HISTORY_A_PAGE = 100
_OLDEST_FIRST = "TimestampAscending"

Members = dict[str, Any]


class CloudWatch:
    """`operations` by name: each takes a request's parameters and the time, and gives the members of its answer."""

    def __init__(self, metrics: Metrics, gateway_metrics: GatewayMetrics, autoscaling: AutoScaling) -> None:
        self._metrics = metrics
        self._gateway_metrics = gateway_metrics
        self._autoscaling = autoscaling
        self.operations = {
            "GetMetricData": self._get_metric_data,
            "ListMetrics": self._list_metrics,
            "DescribeAlarms": self._describe_alarms,
            "DescribeAlarmHistory": self._describe_alarm_history,
        }

    def _get_metric_data(self, parameters: Members, now: float) -> Members:
        _check_queries(parameters)
        most = parameters.get("MaxDatapoints", MOST_POINTS)
        if not 1 <= most <= MOST_POINTS:
            raise invalid(f"The parameter MaxDatapoints must be between 1 and {MOST_POINTS}, got {most}.")
        # Pages of one answer see one state: the token carries what was published when the first one was read.
        skipped, visible_until = 0, self._metrics.visible_until(now)
        if "NextToken" in parameters:
            skipped, visible_until = read_token(parameters, _REFUSED_TOKEN)
        results = []
        sent, left = skipped, most
        remaining = False
        for number, query in enumerate(parameters["MetricDataQueries"], 1):
            points = self._points(number, query, parameters, visible_until)
            if not query.get("ReturnData", True):
                continue
            rest = points[skipped:]
            skipped = max(skipped - len(points), 0)
            part, rest = rest[:left], rest[left:]
            left -= len(part)
            sent += len(part)
            remaining = remaining or bool(rest)
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query.get("Label", query["MetricStat"]["Metric"].get("MetricName", "")),
                    "Timestamps": [at for at, _ in part],
                    "Values": [value for _, value in part],
                    "StatusCode": "PartialData" if rest else "Complete",
                }
            )
        return {
            "MetricDataResults": results,
            "Messages": [],
            "NextToken": token(parameters, [sent, visible_until]) if remaining else None,
        }

    def _points(
        self, number: int, query: Members, parameters: Members, visible_until: float
    ) -> list[tuple[int, float]]:
        """In the order asked for."""
        wanted = query["MetricStat"]
        metric = wanted["Metric"]
        name, namespace = metric.get("MetricName", ""), metric.get("Namespace", "")
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric.get("Dimensions", [])}
        try:
            points = [
                point
                for source in (self._metrics, self._gateway_metrics)
                for point in source.points(
                    namespace,
                    name,
                    wanted["Stat"],
                    wanted["Period"],
                    parameters["StartTime"],
                    parameters["EndTime"],
                    now=visible_until,
                )
            ]
        except ValueError:
            raise invalid(
                f"The value {wanted['Stat']} for parameter {_member(number)}.MetricStat.Stat is not a valid statistic."
            ) from None
        if not any((m.namespace, m.metric, m.dimensions) == (namespace, name, dimensions) for m in self._names()):
            return []
        return points if parameters.get("ScanBy") == _OLDEST_FIRST else points[::-1]

    def _names(self) -> list[MetricName]:
        return self._metrics.names() + self._gateway_metrics.names()

    def _list_metrics(self, parameters: Members, now: float) -> Members:
        metrics = [metric for metric in self._names() if _is_wanted(metric, parameters)]
        metrics, next_token = page(metrics, str, _METRICS_A_PAGE, parameters, _REFUSED_TOKEN)
        listed = [
            {
                "Namespace": metric.namespace,
                "MetricName": metric.metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
            }
            for metric in metrics
        ]
        return {"Metrics": listed, "NextToken": next_token}

    def _describe_alarms(self, parameters: Members, now: float) -> Members:
        if "AlarmNamePrefix" in parameters and "AlarmNames" in parameters:
            raise invalid("AlarmNamePrefix and AlarmNames must not be specified together.")
        alarms = self._autoscaling.alarms(
            parameters.get("AlarmNames"), parameters.get("AlarmNamePrefix"), parameters.get("StateValue")
        )
        # All alarms are of metrics, and none is part of a composite one.
        if not _of_metrics(parameters) or "ChildrenOfAlarmName" in parameters or "ParentsOfAlarmName" in parameters:
            alarms = []
        if "ActionPrefix" in parameters:
            prefix = parameters["ActionPrefix"]
            alarms = [alarm for alarm in alarms if any(action.startswith(prefix) for action in alarm["AlarmActions"])]
        alarms, next_token = page(
            alarms, _alarm_name, parameters.get("MaxRecords", _ALARMS_A_PAGE), parameters, _REFUSED_TOKEN
        )
        return {"MetricAlarms": alarms, "CompositeAlarms": [], "NextToken": next_token}

    def _describe_alarm_history(self, parameters: Members, now: float) -> Members:
        items = self._autoscaling.alarm_history(
            parameters.get("AlarmName"),
            parameters.get("HistoryItemType"),
            parameters.get("StartDate"),
            parameters.get("EndDate"),
        )
        if not _of_metrics(parameters):
            items = []
        if parameters.get("ScanBy") == _OLDEST_FIRST:
            items = items[::-1]
        items, next_token = page(
            items, _history_key, parameters.get("MaxRecords", _HISTORY_A_PAGE), parameters, _REFUSED_TOKEN
        )
        return {
            "AlarmHistoryItems": [{**item, "AlarmType": "MetricAlarm"} for item in items],
            "NextToken": next_token,
        }


def _check_queries(parameters: Members) -> None:
    """What the documentation demands of GetMetricData beyond the model."""
    queries = parameters["MetricDataQueries"]
    if not queries:
        raise invalid("The parameter MetricDataQueries must not be empty.")
    if len(queries) > MOST_QUERIES:
        raise invalid(f"The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.")
    if parameters["StartTime"] >= parameters["EndTime"]:
        raise invalid("The parameter StartTime must be less than the parameter EndTime.")
    ids = [query["Id"] for query in queries]
    if len(set(ids)) < len(ids):
        raise invalid("The values for parameter Id in MetricDataQueries are not unique.")
    for number, query in enumerate(queries, 1):
        where = _member(number)
        if not _ID.fullmatch(query["Id"]):
            raise invalid(f"The value {query['Id']} for parameter {where}.Id is not matching {_ID.pattern}.")
        if "Expression" in query:
            raise invalid(
                f"{where}.Expression: the local endpoint has no metric math and no Metrics Insights; ask for "
                "each metric with a MetricStat."
            )
        if "MetricStat" not in query:
            raise invalid(f"{where}: exactly one of Expression and MetricStat must be specified.")
        period = query["MetricStat"]["Period"]
        if period % 60 and period not in HIGH_RESOLUTION:
            raise invalid(
                f"The value {period} for parameter {where}.MetricStat.Period must be 1, 5, 10, 20, 30 or a multiple of "
                "60 seconds."
            )
        if "Unit" in query["MetricStat"]:
            raise invalid(f"{where}.MetricStat.Unit: each metric of the local endpoint has one unit; leave it out.")


def _member(number: int) -> str:
    return f"MetricDataQueries.member.{number}"


def _is_wanted(metric: MetricName, parameters: Members) -> bool:
    return (
        parameters.get("Namespace", metric.namespace) == metric.namespace
        and parameters.get("MetricName", metric.metric) == metric.metric
        and all(
            dimension["Name"] in metric.dimensions
            and dimension.get("Value", metric.dimensions[dimension["Name"]]) == metric.dimensions[dimension["Name"]]
            for dimension in parameters.get("Dimensions", [])
        )
    )


def _of_metrics(parameters: Members) -> bool:
    return "MetricAlarm" in parameters.get("AlarmTypes", ["MetricAlarm"])


def _alarm_name(alarm: Members) -> str:
    return str(alarm["AlarmName"])


def _history_key(item: Members) -> str:
    return f"{item['Timestamp']} {item['AlarmName']} {item['HistoryItemType']} {item['HistorySummary']}"
