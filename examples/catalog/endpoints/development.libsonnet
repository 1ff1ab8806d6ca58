{
  environment: 'development',
  store: 's3://rimrep-data-{access}-development',
  files_url: { public: 'https://rimrep-data-public-development.s3.ap-southeast-2.amazonaws.com', limited: null },
  pygeoapi: 'http://127.0.0.1:5050',
  stac_api: null,
  stac_browser: null,
}
