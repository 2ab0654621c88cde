"""A price calculator as a web application."""

from flask import Flask, jsonify

from prices import total

app = Flask(__name__)


@app.route("/total/<int:unit_price>/<int:count>")
def show_total(unit_price, count):
    return jsonify(total=total(unit_price, count))


@app.route("/")
def home():
    return jsonify(message="Hello from a tested Python image")
