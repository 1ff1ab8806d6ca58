local collection = import '../../lib/collection.libsonnet';
local providers = import '../../lib/providers.libsonnet';

collection(
  id='gbr-heat-stress',
  title='Heat stress on the Great Barrier Reef',
  description='Daily coral heat stress from satellites over the Great Barrier Reef, and the management areas by which it is reported.',
  license='various',
  keywords=['degree heating week', 'coral bleaching', 'management areas', 'Great Barrier Reef'],
  producers=[providers.noaa, providers.gbrmpa],
)
