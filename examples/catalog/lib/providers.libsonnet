// Organisations that stand in several collections.
{
  aims: { name: 'Australian Institute of Marine Science (AIMS)', roles: ['licensor', 'producer'], url: 'https://www.aims.gov.au' },
  noaa: { name: 'NOAA Coral Reef Watch', roles: ['licensor', 'producer'], url: 'https://coralreefwatch.noaa.gov' },
  gbrmpa: { name: 'Great Barrier Reef Marine Park Authority', roles: ['licensor', 'producer'], url: 'https://www2.gbrmpa.gov.au' },
  host: { name: 'Great Barrier Reef Data Management System', roles: ['host'], url: 'https://reefdata.io' },
}
