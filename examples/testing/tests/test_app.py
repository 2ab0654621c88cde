from app import app


def test_the_total_is_served():
    answer = app.test_client().get("/total/100/10")
    assert answer.status_code == 200
    assert answer.get_json() == {"total": 950}
