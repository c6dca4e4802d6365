"""Pages as people have them: what a person reads on a page is what is collected, and a wall is no page of reviews."""

import json
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scrapy.http import HtmlResponse
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from charcnn.collect.items import check_review
from charcnn.collect.pages import next_url, read_page
from charcnn.collect.saved import read_saved_pages
from charcnn.collect.sites import ProfileError, load_profile

SHOP = {"displayName": "Acme", "websiteUrl": "https://acme.example", "profileImageUrl": "//cdn.example/acme.png"}


def trustpilot(reviews: list[dict], head: str = "", total: int | None = None, first: str = "") -> bytes:
    "A page in the layout of 2026."
    pagination = {"totalPages": 1, "totalCount": len(reviews) if total is None else total}
    props = {"businessUnit": SHOP, "reviews": reviews, "filters": {"pagination": pagination}}
    data = json.dumps({"props": {"pageProps": props}})
    script = f'<script id="__NEXT_DATA__" type="application/json">{data}</script>'
    return f"{first}<html><head><meta charset=utf-8>{head}</head><body>{script}</body></html>".encode()


def review(number: int, text: str = "Fine.", rating: int = 4) -> dict:
    return {
        "id": f"r{number}",
        "text": text,
        "rating": rating,
        "language": "en",
        "dates": {"publishedDate": "2026-01-02"},
    }


def read(site: str | Path, body: bytes, status: int = 200) -> tuple[str, list[dict]]:
    page = HtmlResponse("https://shop.example/a", body=body).selector
    return read_page(load_profile(site), page, "https://shop.example/a", status)


def profile(folder: Path, fields: str, items: str = "{css: article}", document: str = "") -> Path:
    file = folder / "shop.yaml"
    file.write_text(
        "name: shop\nlistings: {start: 'https://shop.example', categories: {css: a}, ready: body, cards: {css: a}, "
        "company_url: {xpath: '@href'}, company: {css: a}, next_page: {css: a.next}}\n"
        f"reviews:\n{document}  items: {items}\n  fields:\n{fields}\n"
        "  company: {company: {value: Acme}}\n  next_page: {css: 'a.next::attr(href)'}\n"
    )
    return file


CHALLENGE = '<script src="https://x.edge.sdk.awswaf.com/x/challenge.js" defer></script>'


def test_a_page_with_reviews_is_no_wall_whatever_scripts_it_loads():
    kind, found = read("trustpilot", trustpilot([review(1, "One.\n\nTwo."), review(2)], CHALLENGE))
    assert (kind, [raw["text"] for raw in found]) == ("reviews", ["One.\n\nTwo.", "Fine."])
    assert found[0]["logo"] == "https://cdn.example/acme.png"


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (f"<html><head>{CHALLENGE}</head><body><div id=c></div></body></html>".encode(), 200, "captcha"),
        (trustpilot([], total=12), 200, "login"),  # reviews are announced and none is shown
        (trustpilot([], total=0), 200, "reviews"),
        (b"<html>no</html>", 403, "blocked"),
        (b"<html>no</html>", 404, "gone"),
        (trustpilot([review(1)])[:-90], 200, "unreadable"),
    ],
)
def test_a_page_without_reviews_says_what_it_is(body, status, kind):
    assert read("trustpilot", body, status) == (kind, [])


def test_a_text_is_collected_to_its_end(tmp_path):
    fields = "    text: {css: 'p::text, .more'}\n    rating: {css: 'b::text'}"
    body = b"""<article><b>4</b><p>The first half</p><span class=more> and the <i>second</i>.</span></article>
        <article><b>2</b><p>Cold &amp; late.<br><br>Never<br>again.</p></article>"""
    _, found = read(profile(tmp_path, fields), body)
    assert [raw["text"] for raw in found] == ["The first half and the second.", "Cold & late.\n\nNever\nagain."]
    assert len({raw["review_id"] for raw in found}) == 2  # made from company, date and text
    assert [raw["review_id"] for raw in found] == [raw["review_id"] for raw in read(tmp_path / "shop.yaml", body)[1]]


def test_html_in_json_is_read_as_html(tmp_path):
    document = "  document: {css: \"script[type='application/ld+json']::text\"}\n"
    fields = "    text: {json: reviewBody}\n    rating: {json: reviewRating.ratingValue, scale: [0, 10]}"
    data = {"review": [{"reviewBody": "Good&nbsp;soup,<br>cold <b>tea</b>.", "reviewRating": {"ratingValue": "8"}}]}
    body = f"<script type='application/ld+json'>{json.dumps(data)}</script>".encode()
    _, (found,) = read(profile(tmp_path, fields, "{json: 'review'}", document), body)
    assert (found["text"].replace("\xa0", " "), found["rating"]) == ("Good soup,\ncold tea.", 4.0)


def test_ratings_on_any_scale_become_stars_and_keep_what_was_given(tmp_path):
    fields = """    text: {css: p}
    rating:
      - {css: "u::attr(style)", pattern: 'width:\\s*([\\d.]+)%', scale: [0, 100]}
      - {css: "i.on", count: true}
      - {css: "b::attr(class)", pattern: 'bubble_(\\d+)', scale: [0, 50]}
      - {css: "em::text", words: {four out of five: 4}}
      - {css: "s::text"}"""
    forms = [
        ('<u style="width: 80%"></u>', 4, "width: 80%"), ("<i class=on></i><i class=on></i><i></i>", 2, "2"),
        ('<b class="bubble_45"></b>', 5, "bubble_45"), ("<em>Four out of five</em>", 4, "Four out of five"),
        ("<s>7/10</s>", 4, "7/10"), ("<s>2,5</s>", 3, "2,5"), ("<s>0/10</s>", 1, "0/10"),
    ]  # fmt: skip
    body = "".join(f"<article>{form}<p>text {number}</p></article>" for number, (form, *_) in enumerate(forms)).encode()
    _, found = read(profile(tmp_path, fields), body)
    kept = [check_review(raw)[0] for raw in found]
    assert [(each.rating, each.rating_given) for each in kept] == [(stars, given) for _, stars, given in forms]


def test_a_pattern_that_cuts_a_fraction_off_is_refused(tmp_path):
    fields = "    text: {css: p}\n    rating: {css: 'b::text', pattern: '(\\d)'}"
    _, found = read(
        profile(tmp_path, fields), b"<article><b>4.5</b><p>x</p></article><article><b>4</b><p>y</p></article>"
    )
    kept = [check_review(raw) for raw in found]
    assert kept[0] == (None, "the pattern '(\\\\d)' cuts the fraction of '4.5' off") and kept[1][0].rating == 4


def test_dates_become_iso(tmp_path):
    fields = "    text: {css: p}\n    rating: {value: '5'}\n    published_at: {css: time}"
    dates = {"12 mars 2024": "2024-03-12", "3 May 2021": "2021-05-03", "2020-01-02T03:04:05Z": "2020-01-02T03:04:05Z"}
    body = "".join(f"<article><time>{date}</time><p>{date}</p></article>" for date in [*dates, "soon"]).encode()
    _, found = read(profile(tmp_path, fields), body)
    read_dates = [raw["published_at"] for raw in found]
    assert [date[: len(wanted)] for date, wanted in zip(read_dates, dates.values(), strict=False)] == list(
        dates.values()
    )
    assert read_dates[-1] is None


def test_repeated_keys_of_an_address_are_kept():
    body = trustpilot([review(1)]).replace(b'"totalPages": 1', b'"totalPages": 3')
    page = HtmlResponse("https://shop.example", body=body).selector
    url = "https://www.trustpilot.com/review/x?stars=4&stars=5"
    assert next_url(load_profile("trustpilot"), page, url) == f"{url}&page=2"
    assert next_url(load_profile("trustpilot"), page, f"{url}&page=3") is None


@pytest.mark.parametrize("encoding", ["windows-1252", "shift_jis", "utf-16"])
def test_saved_pages_are_read_in_their_encoding_and_name_where_they_are_from(tmp_path, encoding):
    text = "日本語のレビュー" if encoding == "shift_jis" else "Très “bien”"
    comment = "<!-- saved from url=(0031)https://www.trustpilot.com/review/x -->"
    page = (
        trustpilot([review(1, "X")], first=comment)
        .decode()
        .replace('"X"', f'"{text}"')
        .replace("charset=utf-8", f"charset={encoding}")
    )
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/page.html").write_bytes(page.encode(encoding))
    report = read_saved_pages(tmp_path / "saved", load_profile("trustpilot"), tmp_path / "raw", progress=False)
    kept = json.loads((tmp_path / "raw/reviews.jsonl").read_text())
    assert (report.reviews, kept["text"], kept["url"]) == (1, text, "https://www.trustpilot.com/review/x")


def test_a_path_of_this_machine_never_enters_the_data(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/page.html").write_bytes(trustpilot([review(1)]))
    read_saved_pages(tmp_path / "saved", load_profile("trustpilot"), tmp_path / "raw", progress=False)
    assert json.loads((tmp_path / "raw/reviews.jsonl").read_text())["url"] is None
    assert str(tmp_path) not in (tmp_path / "raw/reviews.jsonl").read_text()


def test_a_scale_without_a_length_is_refused(tmp_path):
    with pytest.raises(ProfileError, match=r"fields\.rating"):
        load_profile(profile(tmp_path, "    text: {css: p}\n    rating: {css: b, scale: [5, 5]}"))


@pytest.mark.parametrize("body", ["Good &lt;b&gt;soup&lt;/b&gt;,&lt;br&gt;cold tea.", "Good <b>soup</b>,<br>cold tea."])
def test_any_site_with_schema_org_markup_is_read_without_a_profile(body):
    reviews = [
        {
            "@type": "Review",
            "reviewBody": body,
            "datePublished": "3 May 2021",
            "reviewRating": {"ratingValue": "45", "bestRating": "50"},
        }
    ]
    data = {"@context": "https://schema.org", "@type": "Product", "name": "Pan", "url": "/pan", "review": reviews}
    page = f"<html><link rel=next href='?page=2'><script type='application/ld+json'>{json.dumps(data)}</script></html>"
    kind, (raw,) = read("schema-org", page.encode())
    assert (kind, raw["text"], raw["company"]) == ("reviews", "Good soup,\ncold tea.", "Pan")
    assert (raw["published_at"][:10], raw["source"], raw["website"]) == (
        "2021-05-03",
        "shop.example",
        "https://shop.example/pan",
    )
    assert check_review(raw)[0].rating == 5
    selector = HtmlResponse("https://shop.example/a", body=page.encode()).selector
    assert next_url(load_profile("schema-org"), selector, "https://shop.example/a") == "https://shop.example/a?page=2"


def test_pages_of_a_web_archive_are_read_with_their_addresses(tmp_path):
    (tmp_path / "saved").mkdir()
    with open(tmp_path / "saved/crawl.warc.gz", "wb") as opened:
        writer = WARCWriter(opened, gzip=True)
        for number in (1, 2):
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            body, url = BytesIO(trustpilot([review(number)])), f"https://www.trustpilot.com/review/{number}"
            writer.write_record(writer.create_warc_record(url, "response", payload=body, http_headers=headers))
    report = read_saved_pages(tmp_path / "saved", load_profile("trustpilot"), tmp_path / "raw", progress=False)
    kept = [json.loads(line) for line in (tmp_path / "raw/reviews.jsonl").read_text().splitlines()]
    assert report.reviews == 2 and [row["url"][-1] for row in kept] == ["1", "2"]


def test_a_saved_page_that_changed_is_read_again_and_helper_files_are_no_pages(tmp_path):
    page, helper = tmp_path / "saved/page.html", tmp_path / "saved/page_files/frame.html"
    helper.parent.mkdir(parents=True)
    page.write_bytes(trustpilot([review(1)]))
    helper.write_bytes(trustpilot([review(9)]))
    for count in (1, 2):
        page.write_bytes(trustpilot([review(number) for number in range(count)]))
        report = read_saved_pages(page.parent, load_profile("trustpilot"), tmp_path / "raw", progress=False)
        assert (report.reviews, pq.read_metadata(tmp_path / "raw/reviews.parquet").num_rows) == (count, count)
