"""The page of a result: what was found and where, which algorithm says so, what it is not for, and no patient."""

import html
import re
from dataclasses import replace

import numpy as np
import pytest
from starlette.testclient import TestClient

from node.config import Settings
from node.dicom.segmentation import encode_segmentation
from node.ledger import SqlLedger
from node.model.batch import Batch
from node.model.role import Role
from node.outbound.outbox import put_objects
from node.web.access.users import UserFile
from node.web.app import make_web
from pipelines.terms import Code, Note, Result, get_manifest
from tests.jobs import make_instance
from tests.node.web.results_house import SHAPE, House, make_answer, make_ball, make_images, read_captions
from tests.results import make_author, make_empty_result, make_finding, make_segment

HTML = {"Accept": "text/html"}
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """(house, address) of a result to be looked at alone."""
    house = House(tmp_path_factory.mktemp("shown"))
    return house, make_result(house)[0]


def make_result(house, result=None, **author):
    """(the page's address, the job)."""
    mask = make_ball()
    job, (stack,) = house.keep(make_images(mask))
    house.finish(job, stack, result or make_answer(mask), **author)
    return f"/results/{job.id}", job


def words(page):
    """The text of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_the_page_tells_what_was_found_by_whom_and_what_it_is_not_for(shown):
    house, url = shown
    answer = house.get(url)
    text = words(answer.text)
    assert answer.status_code == 200
    assert "AI result, not for diagnosis. All algorithms succeeded; with findings." in text
    assert "lung-nodule 1.2.0" in text
    assert "Intended use: Marks lung nodules for a reader. Not for: primary diagnosis." in text
    assert "Series 1 was read." in text
    assert "Volume: 1.25 mL" in text
    assert "Attenuation Coefficient (Mean): -321.5 HU" in text


def test_what_was_asked_and_answered_stands_with_the_finding(house):
    asked, answer = Code("CHANGE", "99TEST", "Change since then"), Code("15454001", "SCT", "Increased size")
    finding = replace(make_finding(), segment_key=None, qualifiers=((asked, answer),))
    url, _ = make_result(house, Result((), (finding,)))
    assert "Change since then: Increased size" in words(house.get(url).text.split("The whole report")[0])


def test_a_finding_leads_to_the_slice_that_shows_most_of_it(shown):
    house, url = shown
    (link,) = re.findall(r'href="\?([^"]*)" data-slice="(\d+)"', house.get(url).text)
    assert link[0] == f"slice={link[1]}"
    assert int(link[1]) - 1 == np.count_nonzero(make_ball(), axis=(1, 2)).argmax()
    opened = house.get(f"{url}?{link[0]}").text
    assert f"/slice/{link[1]}.png" in opened
    assert f'data-slice="{link[1]}"' in house.get(url).text.split("<img")[0]  # where the page opens by itself


def test_every_slice_is_reached_by_links_alone(shown):
    house, url = shown
    at, seen = "?slice=1&window=bone&overlay=off&opacity=60", []
    while at:
        page = house.get(url + at).text
        (picture,) = re.findall(r'<img src="([^"]*slice[^"]*)"', page)
        assert "window=bone" in picture and "overlay=off" in picture and "opacity=60" in picture
        assert house.get(html.unescape(picture)).status_code == 200
        seen.append(int(re.search(r"slice/(\d+)", picture).group(1)))
        following = re.search(r'rel="next" href="([^"]*)"', page)
        at = html.unescape(following.group(1)) if following else ""
    assert seen == list(range(1, SHAPE[0] + 1))
    assert 'rel="prev"' not in house.get(f"{url}?slice=1").text
    assert house.get(f"{url}?slice={SHAPE[0] + 1}", **HTML).status_code == 404


def test_without_a_script_a_form_chooses_the_look_and_stays_on_the_slice(shown):
    house, url = shown
    page = house.get(f"{url}?slice=4&window=brain&overlay=off&opacity=15").text
    form = page[page.index("<form") : page.index("</form>")]
    assert 'name="slice" value="4"' in form
    for chosen in ("brain", "off", "15"):
        assert f'<option value="{chosen}" selected' in form
    assert "<button>" in form
    for name in ("results.css", "slider.js"):
        assert house.get(f"/results/static/{name}").status_code == 200


def test_nothing_of_the_patient_is_on_the_page_or_in_its_addresses(house):
    mask = make_ball()
    study = {
        "PatientName": "Doe^Jane",
        "PatientID": "47110815",
        "PatientBirthDate": "19490203",
        "AccessionNumber": "ACC77",
    }
    slices = make_images(mask, **study)
    for n, ds in enumerate(slices):  # as some scanners make them: of the date and the time
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.3.12.2.20240102030405.{n}"
    job, (stack,) = house.keep(slices)
    house.finish(job, stack, make_answer(mask))
    answer = house.get(f"/results/{job.id}")
    refused = house.get(f"/results/{job.id}?slice=99", **HTML)
    for text in (answer.text, str(answer.headers), refused.text):
        for secret in ("Doe", "Jane", "47110815", "19490203", "ACC77", "20240102", "2024-01-02"):
            assert secret not in text
    assert re.search("<title>(.*)</title>", answer.text).group(1) == "Result of lung-seg · Wetread"


def test_what_others_wrote_is_text(house):
    mask = make_ball()
    segment = make_segment(mask, label=EVIL)
    result = Result((segment,), (make_finding(),), notes=(Note(f"Beware {EVIL}"),))
    url, _ = make_result(house, result, title=EVIL, version=EVIL)
    page = house.get(url).text
    assert EVIL not in page
    assert f"Beware {EVIL}" in words(page)
    assert all(EVIL in caption for caption in read_captions(page) if "marked:" in caption)
    assert house.get(f"{url}?window={EVIL}", **HTML).status_code == 400
    assert EVIL not in house.get(f"{url}?window={EVIL}", **HTML).text


def test_what_was_looked_for_and_not_found_is_said_so(house):
    url, _ = make_result(house, make_empty_result())
    page = house.get(url).text
    assert "looked for and not found" in words(page)
    assert "All algorithms succeeded; without findings" in words(page)
    assert len(read_captions(page)) == SHAPE[0]
    assert house.picture(f"{url}/slice/1.png").shape[2] == 3
    assert house.picture(f"{url}/montage.png").shape[1] == 1280


def test_an_algorithm_that_did_not_run_is_shown_as_such_with_the_reason(house):
    job, (stack,) = house.keep(make_images(make_ball()))
    house.refuse(job, stack, "MissingSlices", "3 of 12 planes missing", name="lung-seg", version="9.9.9")
    page = house.get(f"/results/{job.id}").text
    text = words(page)
    assert "The AI did not run." in text
    assert "MissingSlices: 3 of 12 planes missing" in text
    assert "lung-seg 9.9.9" in text
    assert "<h2>Findings" not in page
    assert "<img" not in page
    assert "not for diagnosis" not in text


def test_a_retry_that_went_well_hides_the_earlier_refusal(house):
    mask = make_ball()
    job, (stack,) = house.keep(make_images(mask))
    house.refuse(job, stack, "OutOfTime", "too slow")
    house.ledger.move_job(house.ledger.get_job(job.id), "QUEUED", 2000.0, "operator", "again")
    house.finish(job, stack, make_answer(mask))
    text = words(house.get(f"/results/{job.id}").text)
    assert "The AI did not run" not in text
    assert "Volume: 1.25 mL" in text


def test_a_job_without_a_result_says_where_it_is(house):
    job, _ = house.keep(make_images(make_ball()))
    page = house.get(f"/results/{job.id}").text
    assert "There is no result yet." in words(page)
    assert 'http-equiv="refresh"' in page
    for path in ("/slice/1.png", "/montage.png"):
        assert house.get(f"/results/{job.id}{path}").status_code == 404
    missing = house.get("/results/unknown", **HTML)
    assert (missing.status_code, "there is no such job" in missing.text) == (404, True)
    assert house.get("/results/unknown").headers["Content-Type"] == "application/problem+json"


def test_a_result_whose_images_are_gone_is_still_read(house):
    url, job = make_result(house)
    for instance in house.ledger.find_instances(job.study_uid):
        (house.spool.root / instance.path).unlink()
    page = house.get(url).text
    assert "The images are no longer in the spool" in page
    assert "Volume: 1.25 mL" in words(page)
    assert house.get(f"{url}/slice/1.png").status_code == 410


def test_a_damaged_segmentation_is_told_and_nothing_else_of_it(house):
    url, job = make_result(house)
    for path in (house.settings.outbox / job.id).glob("*.dcm"):
        path.write_bytes(path.read_bytes()[:600])
    answer = house.get(url, **HTML)
    assert answer.status_code == 500
    assert "Traceback" not in answer.text


def test_the_study_opens_in_another_viewer_where_one_is_configured(tmp_path):
    plain = House(tmp_path / "plain")
    (tmp_path / "linked").mkdir()
    linked = House(tmp_path / "linked", viewer="https://viewer.hospital.test/viewer?StudyInstanceUIDs={study}")
    url, _ = make_result(plain)
    assert "OHIF" not in plain.get(url).text
    url, job = make_result(linked)
    link = f'href="https://viewer.hospital.test/viewer?StudyInstanceUIDs={job.study_uid}"'
    assert link in linked.get(url).text


@pytest.mark.parametrize("viewer", ["javascript:alert({study})", "https://viewer.test", "https://v.test/{patient}"])
def test_an_address_that_opens_no_study_stops_the_start(viewer):
    with pytest.raises(ValueError, match="viewer"):
        Settings.model_validate({"web": {"viewer": viewer}})


def test_the_whole_report_is_on_the_page(shown):
    house, url = shown
    page = house.get(url).text
    text = words(page[page.index("The whole report") :])
    for said in ("Tracking Identifier: lung-nodule/nodule-1", "Volume: 1.25 mL", "Laterality: Right (24028007, SCT)"):
        assert said in text


def test_a_later_version_is_pointed_to(house):
    url, job = make_result(house)
    assert "A later version" not in house.get(url).text
    house.ledger.record(Batch(instances=[(make_instance(2, job.study_uid, at=2000.0), "")]))
    later = replace(job, id="f" * 32, version=2)
    assert house.ledger.close_study(house.ledger.find_study(job.study_uid), 2001.0, "complete", "", [later])
    assert f'href="/results/{later.id}"' in house.get(url).text


def test_a_rerun_that_wrote_other_objects_is_seen_at_once(house):
    mask = make_ball()
    job, (stack,) = house.keep(make_images(mask))
    house.finish(job, stack, make_answer(mask))
    url = f"/results/{job.id}"
    first = house.get(f"{url}/slice/5.png")
    other = make_answer(mask[:, ::-1].copy())
    objects = house.ledger.find_objects(job.id)
    put_objects(house.settings.outbox, job.id, [encode_segmentation(stack, other, make_author(job.id))])
    assert house.ledger.find_objects(job.id) == objects
    second = house.get(f"{url}/slice/5.png")
    assert second.headers["ETag"] != first.headers["ETag"]
    assert second.content != first.content


def test_a_viewer_sees_results_and_others_log_in(house):
    url, _ = make_result(house)
    users = UserFile(house.settings.node.home / "users.toml")
    users.add("reader", Role.VIEWER, "a long enough password")
    app = make_web(house.settings, SqlLedger(house.settings.ledger_url), house.spool)
    client = TestClient(app, base_url="http://localhost")
    for path in (url, f"{url}/slice/1.png", f"{url}/montage.png", "/results/static/slider.js"):
        assert client.get(path).status_code == 401
        assert client.get(path, auth=("reader", "a long enough password")).status_code == 200


def test_the_manifest_is_quoted_only_where_it_is_of_the_algorithm_that_ran(house):
    mask, card = make_ball(), get_manifest("lung-seg")
    job, (stack,) = house.keep(make_images(mask))
    house.finish(job, stack, make_answer(mask), version=card.version)
    assert card.not_for in words(house.get(f"/results/{job.id}").text)
    other = House(house.folder / "other")
    url, _ = make_result(other)
    assert card.not_for not in words(other.get(url).text)
