// What every collection has; its extent comes from its items and is written by the platform.
local endpoints = import '../endpoints.libsonnet';
local providers = import 'providers.libsonnet';

function(id, title, description, license, keywords, producers) {
  type: 'Collection',
  stac_version: '1.0.0',
  id: id,
  title: title,
  description: description,
  license: license,
  keywords: keywords,
  providers: producers + [providers.host],
  links: [
    {
      rel: 'describedby',
      href: endpoints.pygeoapi + '/collections',
      type: 'text/html',
      title: 'Data API',
    },
  ],
}
