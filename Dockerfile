FROM python:3.12-slim
WORKDIR /app
COPY pyproject.toml README.md ./
COPY config config
COPY consents consents
COPY integrations integrations
COPY notifications notifications
COPY orders orders
RUN pip install --no-cache-dir -e .
COPY . .
RUN useradd --create-home app && mkdir -p var && chown app var
USER app
EXPOSE 8000
CMD ["python", "manage.py", "run"]
