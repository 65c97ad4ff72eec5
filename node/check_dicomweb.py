"""`wetread check-dicomweb`: any DICOMweb server against the standard."""

from typing import Annotated

import typer
from rich.console import Console

out = Console()


def check_dicomweb(
    url: Annotated[str, typer.Argument(help="root of the services: https://pacs.hospital.test/dicom-web")],
    user: Annotated[str, typer.Option(help="name:password")] = "",
    token: Annotated[str, typer.Option(help="a bearer token", envvar="WETREAD_CHECK_TOKEN")] = "",
    store: Annotated[bool, typer.Option("--store", help="also store a small study of a phantom, which stays")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Check any DICOMweb server against PS3.18: statuses, media types, attributes, error cases. Changes nothing there
    without --store. Exit code 1 when something is not as the standard says."""
    from node.demo.sample import make_sample
    from node.web.check.line import Line
    from node.web.check.server import check_server, make_report

    findings = list(check_server(Line(url, user, token), make_sample() if store else ()))
    wrong = sum(finding.ok is False for finding in findings)
    if as_json:
        out.print_json(data=[finding.to_dict() for finding in findings])
    else:
        out.print(make_report(findings))
        out.print(f"{len(findings)} checks, {wrong} not as PS3.18 says", highlight=False)
    raise typer.Exit(1 if wrong else 0)
