{
  environment: 'development',
  store: 's3://rimrep-data-{access}-development',
  files_url: { public: 'https://rimrep-data-public-development.s3.ap-southeast-2.amazonaws.com', limited: null },
  pygeoapi: 'https://pygeoapi.development.reefdata.io',
  stac_api: null,
  stac_browser: null,
}
