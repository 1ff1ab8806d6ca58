{
  environment: 'production',
  store: 's3://gbr-dms-data-{access}',
  files_url: { public: 'https://gbr-dms-data-public.s3.ap-southeast-2.amazonaws.com', limited: null },
  pygeoapi: 'https://pygeoapi.reefdata.io',
  stac_api: 'https://stac.reefdata.io',
  stac_browser: 'https://stac.reefdata.io/browser',
}
