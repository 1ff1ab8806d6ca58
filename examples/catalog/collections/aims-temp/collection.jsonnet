local collection = import '../../lib/collection.libsonnet';
local providers = import '../../lib/providers.libsonnet';

collection(
  id='aims-temp',
  title='AIMS sea temperature',
  description='Sea temperature measured by the Australian Institute of Marine Science on reefs of the Great Barrier Reef, by loggers on the reef flat and slope.',
  license='CC-BY-3.0-AU',
  keywords=['sea temperature', 'coral reef', 'Great Barrier Reef', 'oceans'],
  producers=[providers.aims],
)
